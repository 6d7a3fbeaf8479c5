"""Peers' environments; nothing is installed here."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import environment
from grads.runtime.errors import GradsError


def pins(path):
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("peer", ["bergson", "trl"])
def test_both_environments_have_the_same_torch_and_transformers(peer):
    ours = pins("envs/constraints.txt")
    theirs = pins(environment.HERE / f"{peer}-requirements.txt")
    for name in ("torch", "transformers", "peft", "numpy"):
        assert theirs[name] == ours[name]


@pytest.fixture
def installing(tmp_path, monkeypatch):
    """The environment in a folder of the test's, with pip's part recorded instead of done."""
    calls = []
    requirements = tmp_path / "bergson-requirements.txt"
    requirements.write_text("bergson==1\n", encoding="utf-8")
    monkeypatch.setattr(environment, "HERE", tmp_path)
    monkeypatch.setattr(environment.venv, "create", lambda folder, with_pip: folder.mkdir())
    status = {"pip": 0}

    def run(command, **_):
        calls.append(command)
        return subprocess.CompletedProcess(command, status["pip"])

    monkeypatch.setattr(environment.subprocess, "run", run)
    return calls, requirements, status


def test_the_environment_is_made_once_and_again_for_other_requirements(installing):
    calls, requirements, _ = installing
    assert environment.own_python("bergson") == environment.own_python("bergson")
    assert len(calls) == 1
    assert str(requirements) in calls[0]
    requirements.write_text("bergson==2\n", encoding="utf-8")
    environment.own_python("bergson")
    assert len(calls) == 2


def test_a_failed_installation_is_no_environment(installing):
    calls, _, status = installing
    status["pip"] = 1
    for _ in range(2):
        with pytest.raises(GradsError, match="pip could not install"):
            environment.own_python("bergson")
    assert len(calls) == 2


def test_versions_are_those_of_the_interpreter(monkeypatch):
    monkeypatch.setattr(environment, "NAMED", ("torch", "transformers"))
    found = environment.bergson_versions(Path(sys.executable))
    assert found["transformers"] == pins("envs/constraints.txt")["transformers"]
