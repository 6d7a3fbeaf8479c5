"""A killed run carries on and ends with the same tables."""

import os
import signal
import subprocess
import time

import pytest

CONFIG = ("--configfile", "config/smoke.yaml", "--config", "study=killed")
# Cost tables hold seconds, so they differ from run to run.
SAME = ("domain.csv", "domain.md", "domain.tex", "domain.html", "forgetting.csv", "forgetting.md", "forgetting.html")


def kill_when(workspace, path):
    """Start the workflow and kill Snakemake, with signal 9, as soon as `path` is there; return its jobs' processes."""
    run = subprocess.Popen(
        workspace.command(*CONFIG),
        cwd=workspace.folder,
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not any(workspace.folder.glob(path)):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1.0)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_same_tables(make_workspace):
    clean, killed = make_workspace(), make_workspace()
    clean.snakemake(*CONFIG)
    # Once while training, once while evaluating.
    kill_when(killed, "results/killed/scratch/train/tiny/*/full/1/0/*")
    kill_when(killed, "results/killed/runs/tiny/*/grads/0.5/0/training.json")
    # The same command, at once: jobs of the killed run have died with it and hold nothing.
    killed.snakemake(*CONFIG)
    for name in SAME:
        table = (killed.folder / "results/killed/tables" / name).read_bytes()
        assert table == (clean.folder / "results/killed/tables" / name).read_bytes(), name
    assert not any((killed.folder / "results/killed/scratch").rglob("checkpoint-*"))
    assert killed.planned(*CONFIG) == {}


@pytest.mark.slow
def test_a_second_run_of_the_same_study_is_refused(make_workspace):
    workspace = make_workspace()
    run = subprocess.Popen(
        workspace.command(*CONFIG), cwd=workspace.folder, env=workspace.environment, stderr=subprocess.DEVNULL
    )
    while not (workspace.folder / "results/killed/study.lock").exists():
        assert run.poll() is None
        time.sleep(0.05)
    assert "another run" in workspace.snakemake(*CONFIG, fails=True)
    run.kill()
    run.wait()
