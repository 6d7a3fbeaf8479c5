import json
import subprocess
import sys

import pytest
import torch

from grads.models import memory
from grads.models.memory import free_memory, watch_memory

CPU = torch.device("cpu")
MEBIBYTE = 2**20
TAKE_AND_GIVE_BACK = """
import json
import torch
from grads.models.memory import free_memory, watch_memory

cpu = torch.device("cpu")
free, most = free_memory(cpu), watch_memory(cpu)
torch.ones(64 * 2**20 // 4).sum()
taken = most()
print(json.dumps([free, taken, most(), watch_memory(cpu)()]))
"""


def test_what_work_takes_is_seen_even_when_it_is_given_back():
    if free_memory(CPU) is None:
        pytest.skip("this system does not say how much memory is free")
    # In a process of its own: this one may have kept memory that other tests gave back.
    run = subprocess.run([sys.executable, "-c", TAKE_AND_GIVE_BACK], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    free, taken, still, little = json.loads(run.stdout)
    assert free > 0
    assert taken is None or 60 * MEBIBYTE < taken < 200 * MEBIBYTE
    assert (still or 0) >= (taken or 0)
    assert little is None or little < 30 * MEBIBYTE


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
    assert watch_memory(CPU)() is None
