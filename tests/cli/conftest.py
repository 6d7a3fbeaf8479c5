import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from grads.cli.main import app

ROOT = Path(__file__).parents[2]
QUICK = ("--training", "precision=float32", "--training", "learning_rate=0.01", "--training", "adapter.rank=2")


@pytest.fixture
def grads():
    """Run a command in this process; return the result, with standard output and error in `output`."""

    def call(*arguments, status=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    return call


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder with the configs of this repository and no results."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_smoke(folder, **changes):
    """Write the smoke study's config with other values of some keys, and return its path."""
    content = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text("utf-8"))
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return path


def rows(path):
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def on_data(grads, data, tiny_model_folder, tmp_path):
    """Run a command on the twenty records and a tiny model, in a few quick steps, with an output in a new folder."""

    def call(command, out, *options, **keywords):
        files = ("--model", tiny_model_folder, "--data", data, "--out", tmp_path / out)
        return grads(command, *files, *QUICK, *options, **keywords)

    return call


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Put a folder into an empty cache of the hub, which cannot itself be reached; return the commit."""

    def call(repository, folder, commit="0123456789abcdef0123456789abcdef01234567"):
        root = tmp_path / "cache" / f"models--{repository.replace('/', '--')}"
        shutil.copytree(folder, root / "snapshots" / commit)
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text(commit)
        return commit

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return call


@pytest.fixture
def data(tmp_path) -> Path:
    """Twenty records, one of them twice and one without an answer, with fields of their own."""
    rows = [
        {"number": n, "output": f"It is {n * n}.", "instruction": f"What is {n} squared?", "tags": ["é", {"a": 1.50}]}
        for n in range(20)
    ]
    rows[7:7] = [rows[3] | {"number": 99}, {"number": 98, "instruction": "What?", "output": " "}]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
