import pytest
import torch

from grads.models import memory
from grads.models.memory import free_memory, most_memory

CPU = torch.device("cpu")
MEBIBYTE = 2**20


def test_what_work_takes_is_seen_even_when_it_is_given_back():
    free = free_memory(CPU)
    if free is None:
        pytest.skip("this system does not say how much memory is free")
    assert free > 0

    def work():
        return float(torch.ones(64 * MEBIBYTE // 4).sum())

    result, taken = most_memory(CPU, work)
    assert result == 64 * MEBIBYTE // 4
    assert taken is None or 60 * MEBIBYTE < taken < 200 * MEBIBYTE
    assert most_memory(CPU, lambda: "little")[1] in (None, *range(30 * MEBIBYTE))


@pytest.mark.parametrize(("limit", "left"), [("max\n", 1000 * 1024), (f"{500 * 1024}\n", 400 * 1024)])
def test_a_control_group_limits_what_the_machine_has(limit, left, tmp_path, monkeypatch):
    job, process = tmp_path / "groups" / "job", tmp_path / "process"
    (job / "step").mkdir(parents=True)
    process.mkdir()
    (process / "cgroup").write_text("0::/job/step\n")
    for folder, content in ((job, limit), (job / "step", "max\n")):
        (folder / "memory.max").write_text(content)
        (folder / "memory.stat").write_text(f"anon {100 * 1024}\nfile 7\n")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "SELF", process)
    real = memory._field
    monkeypatch.setattr(memory, "_field", lambda p, name: 1000 if name == "MemAvailable:" else real(p, name))
    assert free_memory(CPU) == left


def test_a_system_that_says_nothing_is_not_guessed_at(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "SELF", tmp_path / "absent")
    assert most_memory(CPU, lambda: 7) == (7, None)
