"""The workflow through a real SLURM, one node on this machine, with the profile that clusters use.

`pytest -m cluster`, as root, with the packages slurm-wlm and munge.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from grads.runtime.locks import _scratch_lock
from grads.study.grid import cells
from grads.study.reading import read_study

SLURM = Path(__file__).resolve().parents[1] / "cluster" / "slurm.sh"
# There is no slurmdbd, and nothing here takes 40 seconds.
WITHOUT_ACCOUNTING = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2")

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A running SLURM."""
    if os.getuid() != 0 or not all(shutil.which(daemon) for daemon in ("slurmctld", "slurmd", "munged")):
        pytest.skip("needs root, slurm-wlm and munge")
    folder = tmp_path_factory.mktemp("slurm")
    try:
        # Daemons keep the output open, so it goes to a file that nobody waits for.
        with (folder / "start.log").open("w") as log:
            started = subprocess.run([SLURM, "start", folder], stdout=log, stderr=log, timeout=120)
        assert started.returncode == 0, (folder / "start.log").read_text()
        yield
    finally:
        subprocess.run([SLURM, "stop", folder], check=True, timeout=60)


@pytest.fixture(scope="module")
def finished(slurm, make_workspace):
    """A workspace in which one domain and two arms went through SLURM."""
    workspace = make_workspace()
    study = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    study["study"] = "cluster"
    del study["domains"]["plurals"]
    study["arms"] = {name: study["arms"][name] for name in ("untuned", "random")}
    (workspace.folder / "cluster.yaml").write_text(yaml.safe_dump(study))
    workspace.command_line = ("--workflow-profile", "profiles/slurm", "--configfile", "cluster.yaml")
    workspace.printed = workspace.snakemake(*workspace.command_line, *WITHOUT_ACCOUNTING)
    workspace.results = workspace.folder / "results" / "cluster"
    return workspace


def jobs():
    """Return the comment of every job (Snakemake writes its rule there), with state and requested devices."""
    fields = "Comment:200|,State:40|,tres-per-job:80|,tres-per-node:80"
    command = ["squeue", "--states", "all", "--noheader", "--Format", fields]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [[field.strip() for field in line.split("|")] for line in lines]


def test_the_study_ends_with_its_tables(finished):
    study = read_study(finished.folder / "cluster.yaml")
    measurements = pd.read_parquet(finished.results / "measurements.parquet")
    found = set(measurements[["domain", "arm", "ratio"]].itertuples(index=False, name=None))
    assert found == {(cell.domain, cell.arm, cell.ratio) for cell in cells(study)}
    for table in ("domain", "forgetting", "cost"):
        assert "SMOKE" in (finished.results / "tables" / f"{table}.md").read_text()


def test_what_computes_went_through_slurm(finished):
    rules = {job[0].removeprefix("rule_").split("_wildcards")[0] for job in jobs()}
    assert {"prepare_model", "train", "evaluate", "tables"} <= rules
    assert {job[1] for job in jobs()} == {"COMPLETED"}
    training = json.loads((finished.results / "runs/tiny/sums/random/0.5/0/training.json").read_text())
    assert training["records"] == 12


def test_jobs_that_need_a_device_ask_for_one(finished):
    asked = {job[0].removeprefix("rule_").split("_wildcards")[0] for job in jobs() if "gpu" in "".join(job[2:])}
    assert {"train", "evaluate", "evaluate_untuned"} <= asked
    assert not {"tables", "measurements", "prepare_domains"} & asked


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake(*finished.command_line, *WITHOUT_ACCOUNTING)


RECORDS = {"full/1/0": 24, "random/0.5/0": 12}
GROUPS = ("--groups", "train=train", "--group-components", "train=8", "--retries", "0")


def test_cells_of_a_group_are_one_job_and_a_failed_one_takes_no_other_along(finished):
    study = yaml.safe_load((finished.folder / "cluster.yaml").read_text())
    smoke = yaml.safe_load((finished.folder / "config/smoke.yaml").read_text())
    study["study"] = "grouped"
    study["arms"] = {name: smoke["arms"][name] for name in ("full", "random")}
    (finished.folder / "grouped.yaml").write_text(yaml.safe_dump(study))
    results = finished.folder / "results/grouped"
    runs = results / "runs/tiny/sums"
    trained = [runs.relative_to(finished.folder) / cell / "adapter" for cell in RECORDS]
    workflow = ("--workflow-profile", "profiles/slurm", "--configfile", "grouped.yaml", *WITHOUT_ACCOUNTING, *GROUPS)
    before = len(jobs())
    # Either one fails, whichever a node begins with.
    for failing, going in (tuple(RECORDS), tuple(RECORDS)[::-1]):
        shutil.rmtree(results / "scratch/finished", ignore_errors=True)
        # Somebody else works in its scratch folder, so it refuses.
        with _scratch_lock(results / "scratch/train/tiny/sums" / failing):
            finished.snakemake(*workflow, *trained, fails=True)
        (kept,) = (results / "scratch/finished").rglob("training.json")
        other = json.loads(kept.read_text())
        assert other["records"] == RECORDS[going]
    finished.snakemake(*workflow, *trained)
    assert "made before" in (results / f"logs/train/tiny/sums/{going}.log").read_text()
    assert json.loads((runs / going / "training.json").read_text()) == other
    assert json.loads((runs / failing / "training.json").read_text())["records"] == RECORDS[failing]
    submitted = [job[0] for job in jobs()][before:]
    assert len([comment for comment in submitted if "train" in comment and "prepare" not in comment]) == 3
