"""The graph and Snakemake plan the same jobs."""

from grads.graph.study import StudyGraph
from grads.study.load import read_study

CONFIG = ("--configfile", "config/smoke.yaml")


def rules_of(graph):
    found: dict[str, int] = {}
    for job in graph.jobs():
        found[job.rule] = found.get(job.rule, 0) + 1
    return found


def test_snakemake_plans_the_jobs_of_the_graph(make_workspace):
    workspace = make_workspace()
    planned = workspace.planned("--forceall", *CONFIG)
    assert planned == rules_of(StudyGraph(read_study("config/smoke.yaml"), reading=False))
