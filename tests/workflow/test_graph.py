"""The graph and Snakemake: the same jobs, and the same bytes whether a study runs in one process or in many."""

import json
import subprocess
import sys

import pytest
import yaml

from grads.graph.study import StudyGraph
from grads.study.reading import read_study

CONFIG = ("--configfile", "config/smoke.yaml")
ARMS = {
    "untuned": {"method": "untuned"},
    "full": {"method": "full"},
    "grads": {"method": "grads", "ratios": ["0.5"]},
    "less": {"method": "less", "ratios": ["0.5"]},
}
IN_PROCESS = """
from grads.config.yaml_file import read_yaml
from grads.graph.study import StudyGraph
from grads.runtime.libraries import limit_threads, settle_libraries
from grads.runtime.runner import Machine, run_jobs
from grads.study.reading import read_study
limit_threads(1)
settle_libraries()
graph = StudyGraph(read_study("both.yaml"), read_yaml("both.yaml"))
run_jobs(graph.in_order(), Machine())
"""


def rules_of(graph):
    found: dict[str, int] = {}
    for job in graph.jobs():
        found[job.rule] = found.get(job.rule, 0) + 1
    return found


def test_snakemake_plans_the_jobs_of_the_graph(make_workspace):
    workspace = make_workspace()
    planned = workspace.planned("--forceall", *CONFIG)
    assert planned == rules_of(StudyGraph(read_study("config/smoke.yaml"), reading=False))


def test_a_first_try_downloads_nothing(make_workspace):
    """`make try` is the smoke study without what it would fetch."""
    workspace = make_workspace()
    (workspace.folder / "resources").unlink()
    planned = workspace.planned("--configfile", "config/smoke.yaml", "config/smoke/try.yaml")
    assert not {rule for rule in planned if rule.startswith(("fetch_", "prefetch_", "install_"))}
    assert planned["train"] == 12
    assert planned["tables"] == 1


def content_of(path):
    """Return what a file holds, without the times that its job took."""
    if path.suffix != ".json":
        return path.read_bytes()
    return without_times(json.loads(path.read_text("utf-8")))


def without_times(content):
    if isinstance(content, dict):
        timed = [key for key in content if key.startswith("seconds") or key == "peak_memory"]
        return {key: without_times(value) for key, value in content.items() if key not in timed}
    return content


@pytest.mark.slow
def test_a_study_in_one_process_leaves_the_bytes_that_the_workflow_leaves(make_workspace):
    workflow, process = make_workspace(), make_workspace()
    smoke = yaml.safe_load((workflow.folder / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    smoke.pop("claims")
    small = smoke | {"study": "both", "arms": ARMS, "domains": {"sums": smoke["domains"]["sums"]}}
    for one in (workflow, process):
        (one.folder / "both.yaml").write_text(yaml.safe_dump(small), encoding="utf-8")
    workflow.snakemake("--cores", 2, "--configfile", "both.yaml")
    for _ in range(2):  # The second time all is there.
        done = subprocess.run(
            [sys.executable, "-c", IN_PROCESS],
            cwd=process.folder,
            env=process.environment | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("there already") == len(StudyGraph(read_study(workflow.folder / "both.yaml")).in_order())
    made = [
        path.relative_to(workflow.folder)
        for path in sorted((workflow.folder / "results/both").rglob("*"))
        if path.is_file() and not path.name.startswith(".") and ".manifest." not in path.name
        if not {"logs", "benchmarks", "scratch"} & set(path.parts) and path.name != "study.lock"
    ]
    assert len(made) > 80
    different = [path for path in made if content_of(workflow.folder / path) != content_of(process.folder / path)]
    # Seconds, and what is made of them.
    assert {path.stem for path in different} <= {"cost", "efficiency", "measurements", "provenance"}
