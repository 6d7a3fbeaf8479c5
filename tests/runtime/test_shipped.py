"""What comes with grads is found from any folder, and known by the same name wherever grads is installed."""

import runpy
import shutil
from pathlib import Path

import pytest

from grads.runtime import shipped

ROOT = Path(__file__).parents[2]
TASK = "config/tasks/piqa.yaml"


def test_what_is_in_the_working_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.located(TASK) == ROOT / TASK
    assert shipped.is_shipped(shipped.located(TASK))
    assert shipped.written(shipped.located(TASK)) == TASK
    Path(TASK).parent.mkdir(parents=True)
    Path(TASK).touch()
    assert shipped.located(TASK) == Path(TASK)
    assert not shipped.is_shipped(TASK)
    assert shipped.written(TASK) == TASK


@pytest.mark.parametrize("path", ["config/tasks/none.yaml", "grads/cli", "../config/demo.yaml", "mine.yaml", ""])
def test_nothing_else_is_taken_from_there(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.located(path) == Path(path)
    assert not shipped.is_shipped(path)


def test_an_installed_package_has_it_inside(tmp_path, monkeypatch):
    """As a wheel is unpacked: the modules, and next to them the folder with the workflow."""
    package = tmp_path / "site/grads"
    (package / "runtime").mkdir(parents=True)
    (package / "shipped" / TASK).parent.mkdir(parents=True)
    (package / "shipped" / TASK).touch()
    (package / "shipped/Snakefile").touch()
    copy = shutil.copy(shipped.__file__, package / "runtime")
    found = runpy.run_path(str(copy))
    monkeypatch.chdir(tmp_path)
    assert found["located"](TASK) == package / "shipped" / TASK
    assert found["written"](found["located"](TASK)) == TASK
    assert found["snakemake_options"]() == ["--snakefile", str(package / "shipped/Snakefile")]
