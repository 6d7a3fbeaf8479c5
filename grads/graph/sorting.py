"""The order of jobs: each after those that it reads from."""

from collections.abc import Callable, Iterable
from pathlib import Path

from grads.study.job import Job


def in_order(jobs: Iterable[Job], maker_of: Callable[[Path], Job | None]) -> list[Job]:
    """Return jobs and all that they are made from, each once, after those that it reads from.

    Args:
        jobs: what is wanted.
        maker_of: which job makes a file or folder; none where it comes from outside.
    """
    found: dict[int, Job] = {}

    def visit(job: Job) -> None:
        if id(job) in found:
            return
        for path in job.inputs:
            maker = maker_of(path)
            if maker is not None:
                visit(maker)
        found[id(job)] = job

    for job in jobs:
        visit(job)
    return list(found.values())
