"""Running the job of a rule, in the process that Snakemake has started for it."""

from pathlib import Path
from typing import Any

from grads.runtime.group import Finished, in_group
from grads.runtime.process import job_process
from grads.runtime.progress import say
from grads.runtime.runner import Machine, perform

FETCHES = "prefetch_"
"""How the rules are called that fetch from the Hugging Face hub."""


def run_rule(snakemake: Any) -> None:
    """Run the job that a rule and its wildcards stand for, as it was planned.

    Args:
        snakemake: what Snakemake tells a script.

    Raises:
        RuntimeError: the job that the rule's files and parameters are of is another one.
    """
    inputs = [Path(path) for path in snakemake.input]
    outputs = [Path(path) for path in snakemake.output]
    fetches = snakemake.rule.startswith(FETCHES)
    with job_process(snakemake.rule, Path(snakemake.log[0]), inputs, outputs, snakemake.threads, fetches):
        from grads.graph.study import StudyGraph
        from grads.runtime.locks import take_device_slot
        from grads.study.reading import parse_study

        planned = snakemake.params.job
        graph = StudyGraph(parse_study(snakemake.config), snakemake.config)
        job = graph.job(snakemake.rule, dict(snakemake.wildcards.items()))
        # Files from outside are to be those of the plan.
        job = job.changed(contents=planned["contents"])
        if job.settings != planned:
            different = [
                key for key in planned.keys() | job.settings.keys() if planned.get(key) != job.settings.get(key)
            ]
            raise RuntimeError(f"{snakemake.rule}: the job was planned with other settings: {', '.join(different)}")
        files = [("reads", inputs, job.inputs), ("makes", outputs, job.outputs)]
        files.append(("writes to", [Path(snakemake.log[0])], [job.log]))
        for what, rule_files, job_files in files:
            if set(rule_files) != set(job_files):
                raise RuntimeError(f"rule {snakemake.rule} {what} {rule_files}, and its job {job_files}")
        if job.needs_device:
            take_device_slot()
        asked = {name: snakemake.resources[name] for name in job.takes}
        finished = Finished(job, graph.paths.scratch("finished")) if in_group() else None
        if finished and finished.restore():
            say(f"{job.rule}: made before another job of its group failed")
            return
        perform(job, Machine(**asked))
        if finished:
            finished.keep()
