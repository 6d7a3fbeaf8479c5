"""The graph and Snakemake: the same jobs, and the same bytes whether a study runs in one process or in many."""

import os
import subprocess
import sys

import pytest

from grads.graph.study import StudyGraph
from grads.study.load import read_study

CONFIG = ("--configfile", "config/smoke.yaml")
IN_PROCESS = """
from grads.config.yaml_file import read_yaml
from grads.graph.study import StudyGraph
from grads.runtime.libraries import limit_threads, settle_libraries
from grads.runtime.runner import Machine, run_jobs
from grads.study.load import read_study
limit_threads(1)
settle_libraries()
graph = StudyGraph(read_study("config/smoke.yaml"), read_yaml("config/smoke.yaml"))
run_jobs(graph.in_order(), Machine())
"""
# Times, and what was free on the machine.
UNLIKE = {".manifest.json", ".log", ".tsv"}


def rules_of(graph):
    found: dict[str, int] = {}
    for job in graph.jobs():
        found[job.rule] = found.get(job.rule, 0) + 1
    return found


def test_snakemake_plans_the_jobs_of_the_graph(make_workspace):
    workspace = make_workspace()
    planned = workspace.planned("--forceall", *CONFIG)
    assert planned == rules_of(StudyGraph(read_study("config/smoke.yaml"), reading=False))


@pytest.mark.slow
def test_a_study_in_one_process_leaves_the_bytes_that_the_workflow_leaves(make_workspace):
    workflow, process = make_workspace(), make_workspace()
    workflow.snakemake("--cores", 2, *CONFIG)
    environment = process.environment | {"OMP_NUM_THREADS": "1"}
    for _ in range(2):  # The second time all is there.
        done = subprocess.run(
            [sys.executable, "-c", IN_PROCESS], cwd=process.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("there already") == len(list(StudyGraph(read_study("config/smoke.yaml")).jobs()))
    compared = 0
    for folder in ("data", "selections", "models", "general"):
        for path in sorted((workflow.folder / "results/smoke" / folder).rglob("*")):
            if path.is_file() and not path.name.endswith(tuple(UNLIKE)) and not path.name.startswith("."):
                there = process.folder / os.path.relpath(path, workflow.folder)
                if path.suffix == ".json" and folder == "selections":
                    continue  # It says how many seconds the method took.
                assert there.read_bytes() == path.read_bytes(), path
                compared += 1
    for path in sorted((workflow.folder / "results/smoke/runs").rglob("*")):
        if path.name in ("predictions.jsonl", "adapter_model.safetensors", "metrics.json"):
            there = process.folder / os.path.relpath(path, workflow.folder)
            assert there.read_bytes() == path.read_bytes(), path
            compared += 1
    assert compared > 50
