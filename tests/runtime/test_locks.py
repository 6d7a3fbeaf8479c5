import errno
import fcntl
import multiprocessing
import os
import platform
import shutil
import signal
import time

import pytest

from grads.runtime import locks
from grads.runtime.errors import GradsError
from grads.runtime.locks import Holder, lock_study, scratch_folder, study_holder
from grads.runtime.places import mount_of


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


@pytest.mark.parametrize(
    ("visible", "names"),
    [(None, ["0", "1"]), ("2, 3", ["2", "3"]), ("GPU-1/0,GPU-1/1", ["GPU-1/0", "GPU-1/1"])],
)
def test_two_processes_take_two_of_the_visible_devices(visible, names, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "local_devices", lambda: 2)
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    taken = []
    for _ in names:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        locks.take_device_slot()
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == names
    for _ in names:
        locks._held.pop().close()


@pytest.mark.parametrize("chosen", ["7", ""])
def test_what_a_scheduler_has_chosen_is_left_alone(chosen, monkeypatch):
    monkeypatch.setattr(locks, "local_devices", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    locks.take_device_slot()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == chosen


def test_the_holder_of_a_study_is_named_while_it_lives(tmp_path):
    assert study_holder(tmp_path) is None
    lock_study(tmp_path)
    assert study_holder(tmp_path) == Holder(os.getpid(), platform.node())
    locks._held.pop().close()
    # The file stays, with the number of a process that holds nothing any more.
    assert str(os.getpid()) in (tmp_path / "study.lock").read_text()
    assert study_holder(tmp_path) is None


def test_asking_who_holds_a_study_does_not_take_it(tmp_path):
    lock_study(tmp_path)
    locks._held.pop().close()
    with (tmp_path / "study.lock").open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert study_holder(tmp_path) is None
    lock_study(tmp_path)
    locks._held.pop().close()


def test_a_study_that_is_taken_over_names_its_new_holder(tmp_path):
    (tmp_path / "study.lock").write_text("123456789 and more\n")
    lock_study(tmp_path)
    assert (tmp_path / "study.lock").read_text() == f"{os.getpid()} {platform.node()}\n"
    locks._held.pop().close()


def test_scratch_is_free_again_after_a_failure_and_keyed_by_content(tmp_path):
    folder = tmp_path / "cell"
    names = set()
    for key in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}):
        with pytest.raises(RuntimeError), scratch_folder(folder, key) as state:
            names.add(state.name)
            raise RuntimeError
    assert len(names) == 2
    assert (tmp_path / "cell.lock").is_file()


def test_a_job_waits_for_a_device_until_one_is_free(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locks, "local_devices", lambda: 1)
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    locks.take_device_slot()
    holder, waits = locks._held.pop(), []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            holder.close()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    locks.take_device_slot()
    assert len(waits) == 3
    assert capsys.readouterr().err.count("waiting for a GPU") == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    locks._held.pop().close()


def test_without_devices_nothing_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(locks, "local_devices", lambda: 0)
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    locks.take_device_slot()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.ENOLCK, errno.EIO])
def test_a_file_system_without_locks_is_named_and_no_other_run(number, tmp_path, monkeypatch):
    def flock(_handle, _kind):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    mount = str(mount_of(tmp_path).point)
    (tmp_path / "study.lock").touch()

    def work():
        with scratch_folder(tmp_path / "cell", 1):
            pytest.fail("it was entered")

    for call in (lambda: lock_study(tmp_path), lambda: study_holder(tmp_path), work):
        with pytest.raises(GradsError, match="GRADS_LOCKS=off") as caught:
            call()
        assert mount in str(caught.value)
        assert "another" not in str(caught.value)
    monkeypatch.setenv("GRADS_LOCKS", "off")
    lock_study(tmp_path)
    assert study_holder(tmp_path) is None
    with scratch_folder(tmp_path / "cell", 1) as state:
        assert state.is_dir()


def test_locks_are_on_or_off(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADS_LOCKS", "no")
    with pytest.raises(GradsError, match="GRADS_LOCKS=no"):
        lock_study(tmp_path)


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_taken_again(tmp_path, monkeypatch):
    path, real, calls = tmp_path / "study.lock", fcntl.flock, []

    def flock(handle, kind):
        calls.append(kind)
        if len(calls) == 1:
            path.unlink()
        real(handle, kind)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    lock_study(tmp_path)
    monkeypatch.setattr(locks.fcntl, "flock", real)
    assert len(calls) == 2
    assert study_holder(tmp_path).pid == os.getpid()
    locks._held.pop().close()


def test_scratch_that_is_removed_under_a_job_is_a_sentence(tmp_path):
    folder = tmp_path / "cell"
    with pytest.raises(GradsError, match="was removed"), scratch_folder(folder, 1) as state:
        shutil.rmtree(folder)
        (state / "checkpoint").write_text("half")
    with scratch_folder(folder, 1) as state:
        assert list(state.iterdir()) == []
    with scratch_folder(folder, 1):
        shutil.rmtree(folder)


def test_the_note_names_the_machine_too(tmp_path):
    (tmp_path / "study.lock").write_text("4711 node07\n")
    with (tmp_path / "study.lock").open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert study_holder(tmp_path) == Holder(4711, "node07")
        with pytest.raises(GradsError, match="process 4711 on node07"):
            lock_study(tmp_path)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose drivers show nothing, until their folders are made."""
    for name in ("NVIDIA", "KFD", "KFD_NODES", "DXG", "WSL_CUDA"):
        monkeypatch.setattr(locks, name, tmp_path / name)
    return tmp_path


def rocm(folder, units):
    """Show nodes of ROCm's driver with so many units each."""
    (folder / "KFD").touch()
    for number, count in enumerate(units):
        node = folder / "KFD_NODES" / str(number)
        node.mkdir(parents=True)
        (node / "properties").write_text(f"cpu_cores_count 0\nsimd_count {count}\nsimd_per_cu 4\n")


def test_gpus_are_counted_by_what_their_drivers_show(machine):
    assert locks.local_devices() == 0
    # A library without a device, and a device without its library, as with another maker's GPU.
    (machine / "WSL_CUDA").touch()
    assert locks.local_devices() == 0
    (machine / "DXG").touch()
    assert locks.local_devices() == 1
    (machine / "WSL_CUDA").unlink()
    assert locks.local_devices() == 0
    for number in range(4):
        (machine / "NVIDIA" / f"0000:0{number}:00.0").mkdir(parents=True)
    assert locks.local_devices() == 4


def test_processors_are_no_gpus_of_rocm(machine):
    rocm(machine, [0, 0, 880, 1216])
    assert locks.local_devices() == 2
    # A container is shown some of them only.
    (machine / "KFD_NODES" / "3" / "properties").unlink()
    (machine / "KFD_NODES" / "3" / "properties").mkdir()
    assert locks.local_devices() == 1
    (machine / "KFD").unlink()
    assert locks.local_devices() == 0


@pytest.mark.parametrize("variable", ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"])
def test_of_the_gpus_that_a_scheduler_left_visible_one_is_taken(variable, machine, monkeypatch):
    rocm(machine, [0, 880, 880, 880])
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(machine))
    for name in locks.VISIBLE:
        monkeypatch.delenv(name, raising=False)
    for name in ("1", "2"):
        monkeypatch.setenv(variable, "1,2")
        locks.take_device_slot()
        assert {one: os.environ[one] for one in locks.VISIBLE if one in os.environ} == {variable: name}
    for _ in range(2):
        locks._held.pop().close()


def test_without_an_amd_gpu_its_variables_say_nothing(machine, monkeypatch):
    (machine / "NVIDIA" / "0000:01:00.0").mkdir(parents=True)
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(machine))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "3,4")
    locks.take_device_slot()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert os.environ["HIP_VISIBLE_DEVICES"] == "3,4"
    locks._held.pop().close()
