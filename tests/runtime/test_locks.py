import multiprocessing
import os
import signal
import time

import pytest

from grads.runtime import locks
from grads.runtime.errors import GradsError
from grads.runtime.locks import lock_study, scratch_folder


def _hold(folder, ready):
    lock_study(folder)
    ready.set()
    time.sleep(60)


def test_a_second_run_is_refused_and_a_killed_one_needs_no_unlocking(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready))
    other.start()
    assert ready.wait(30)
    with pytest.raises(GradsError, match=f"process {other.pid}"):
        lock_study(tmp_path)
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    lock_study(tmp_path)
    locks._held.pop().close()


def test_scratch_is_kept_on_failure_and_removed_on_success(tmp_path):
    folder = tmp_path / "cell"
    with pytest.raises(RuntimeError), scratch_folder(folder, {"rate": 1}) as state:
        (state / "checkpoint").write_text("half")
        raise RuntimeError
    with scratch_folder(folder, {"rate": 1}) as state:
        assert (state / "checkpoint").read_text() == "half"
    assert not folder.exists()


def test_scratch_of_another_configuration_is_never_picked_up(tmp_path):
    folder = tmp_path / "cell"
    with pytest.raises(RuntimeError), scratch_folder(folder, {"rate": 1}) as state:
        (state / "checkpoint").write_text("half")
        raise RuntimeError
    with scratch_folder(folder, {"rate": 2}) as state:
        assert list(state.iterdir()) == []
        assert [path.name for path in folder.iterdir()] == [state.name]


def test_two_jobs_do_not_share_scratch(tmp_path):
    with (
        scratch_folder(tmp_path / "cell", 1),
        pytest.raises(GradsError, match="another process"),
        scratch_folder(tmp_path / "cell", 1),
    ):
        pass


def test_two_processes_take_two_devices(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "local_devices", lambda: 2)
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    taken = []
    for _ in range(2):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        locks.take_device_slot()
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["0", "1"]
    for _ in range(2):
        locks._held.pop().close()


def test_a_device_chosen_by_a_scheduler_is_left_alone(monkeypatch):
    monkeypatch.setattr(locks, "local_devices", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    locks.take_device_slot()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
