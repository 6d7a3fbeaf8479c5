import importlib.metadata
import platform
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from grads.runtime import environment as module
from grads.runtime.environment import environment


def test_the_environment_says_commit_machine_and_libraries(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(module, "LIBRARIES", ("numpy", "no-such-library"))
    found = environment()
    assert found["machine"]["threads"] == "7"
    assert found["machine"]["python"] == platform.python_version()
    assert found["libraries"] == {"numpy": importlib.metadata.version("numpy")}
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", found["git"])


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")])
def test_a_package_outside_of_git_has_no_commit(monkeypatch, error):
    def run(*_arguments, **_options):
        raise error

    monkeypatch.setattr(module.subprocess, "run", run)
    assert environment()["git"] == "unknown"


def test_a_process_without_torch_used_the_processor(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert environment()["machine"]["device"] == "cpu"
    there = types.SimpleNamespace(cuda=types.SimpleNamespace(is_available=lambda: True, get_device_name=lambda: "H200"))
    monkeypatch.setitem(sys.modules, "torch", there)
    assert environment()["machine"]["device"] == "H200"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [("flags\t: a b\nmodel name\t: Chip: 3 GHz\nmodel name\t: Other\n", "Chip: 3 GHz"), ("", "arm")],
)
def test_the_processor_is_the_one_that_the_kernel_names(monkeypatch, tmp_path, cpuinfo, name):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(module, "Path", lambda path: tmp_path / "cpuinfo" if path == "/proc/cpuinfo" else Path(path))
    monkeypatch.setattr(module.platform, "processor", lambda: "arm")
    assert environment()["machine"]["processor"] == name
