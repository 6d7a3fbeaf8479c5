import json
import os
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from grads.cli.main import app, main

ROOT = Path(__file__).parents[2]
COMMANDS = [command.name for command in app.registered_commands]
HEAVY = ("torch", "transformers", "pandas", "numpy", "snakemake", "sklearn", "pydantic")
# 378 where this was written, most of them typer's and rich's; numpy alone would add 116.
MOST_MODULES = 450


def command(*arguments, **options):
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    call = [sys.executable, "-m", "grads.cli.main", *arguments]
    return subprocess.run(call, capture_output=True, text=True, env=environment, **options)


def test_help_names_every_command():
    result = command("--help")
    assert result.returncode == 0
    assert all(f" {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_is_quick_for_it_imports_little(option):
    """Counted and not timed: a busy machine takes any time."""
    show = "import atexit, json, sys; atexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr))"
    run = f"import runpy; sys.argv = ['grads', {option!r}]; runpy.run_module('grads.cli.main', run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", f"{show}; {run}"], capture_output=True, text=True, check=True)
    modules = json.loads(result.stderr.splitlines()[-1])
    assert "grads.cli.study" in modules
    assert not set(HEAVY) & set(modules)
    assert len(modules) < MOST_MODULES


def test_the_installed_command_is_the_command_line():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert {name: pkgutil.resolve_name(path) for name, path in scripts.items()} == {"grads": main}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"grads {name}" in result.output


def test_what_the_user_can_mend_is_one_sentence_and_status_2(tmp_path):
    result = command("check", "absent.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: absent.yaml: cannot be read")
    assert result.stderr.count("\n") == 1


def test_a_command_that_is_not_there_is_status_2():
    result = command("selct")
    assert result.returncode == 2
    assert "Did you mean 'select'" in result.stderr


def test_anything_else_keeps_its_traceback(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("grads.cli.study.checked_study", broken)
    result = CliRunner().invoke(app, ["check", "config/smoke.yaml"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert isinstance(app, typer.Typer)
    assert app.pretty_exceptions_enable is False


def test_the_version_is_printed():
    assert CliRunner().invoke(app, ["--version"]).output.startswith("grads 0.")


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "d.jsonl").write_text('{"prediction": "a", "reference": "a"}\n')
    result = command("metrics", "d.jsonl", "--metric", "bleu", "--out", f"{'x' * 300}.json", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "File name too long: choose another place or name" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "no room is left"),
        (OSError(122, "Disk quota exceeded"), "quota"),
        (RuntimeError("I/O error: Read-only file system (os error 30)"), "read-only"),
        (PermissionError(13, "Permission denied", "results/x"), "results/x: Permission denied"),
    ],
)
def test_what_a_place_lacks_is_a_sentence_whatever_library_says_so(monkeypatch, error, words):
    def full(*_):
        raise error

    monkeypatch.setattr("grads.cli.study.checked_study", full)
    result = CliRunner().invoke(app, ["check", "config/smoke.yaml"])
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert result.output.count("\n") == 1
    assert words in result.output
