"""A file that declares something and is broken is one sentence with its line, whichever command is given."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    *("selection/methods", "training/strategies", "evaluation/metrics", "signals/measures", "data/layouts"),
    *("data/kinds", "models/kinds", "report/tables", "report/figures"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package to break."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "grads", folder / "grads", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def command(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without this folder on Python's path, where the package is whole.
    call = [sys.executable, "-P", "-m", "grads.cli.main", *arguments]
    return subprocess.run(call, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_broken_file_is_said_once(site: Path, folder: str) -> None:
    broken = site / "grads" / folder / "broken.py"
    broken.write_text("x = 1\nimport nothing_of_that_name\n", encoding="utf-8")
    try:
        done = command(site, "check", "config/smoke.yaml")
        helped = command(site, "--help")
    finally:
        broken.unlink()
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: grads/{folder}/broken.py:2 cannot be imported (ModuleNotFoundError: ")
    assert helped.returncode == 0


def test_the_whole_package_passes(site: Path) -> None:
    assert command(site, "check", "config/smoke.yaml").returncode == 0
