"""What is left to do of a study's jobs, and when it would be done with so many side by side."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from grads.probing.job import JoinShards
from grads.runtime.runner import is_current
from grads.study.job import Job


def left(jobs: Sequence[Job], maker_of: Callable[[Path], Job | None]) -> list[Job]:
    """Return the jobs that are still to be run, in their order.

    A job is done where all that it makes is there and was made with its settings, and where what it reads needs not be
    made again. Shards are gone once they are joined.

    Args:
        jobs: each after those that it reads from.
        maker_of: which job makes a file or folder; none where it comes from outside.
    """
    joined = {path for job in jobs if isinstance(job, JoinShards) and is_current(job) for path in job.inputs}
    found: dict[int, Job] = {}
    for job in jobs:
        makers = [maker_of(path) for path in job.inputs]
        waits = any(id(maker) in found for maker in makers if maker is not None)
        there = is_current(job) or joined.issuperset(job.outputs)
        if waits or not there:
            found[id(job)] = job
    return list(found.values())


def makespan(
    jobs: Sequence[Job],
    maker_of: Callable[[Path], Job | None],
    seconds: Mapping[int, float],
    workers: int,
) -> float:
    """Return the seconds until all jobs are done, each begun as soon as what it reads is there and a worker is free.

    Args:
        jobs: each after those that it reads from.
        maker_of: which job makes a file or folder.
        seconds: of each job, by its `id`.
        workers: how many jobs run side by side.
    """
    before = _before(jobs, maker_of)
    after: dict[int, list[int]] = {place: [] for place in before}
    for place, makers in before.items():
        for maker in makers:
            after[maker].append(place)
    # Places are numbers in the order of the jobs, so that the first of those that can start does.
    ready = [place for place, makers in before.items() if not makers]
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            place = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[id(jobs[place])], place))
        now, finished = heapq.heappop(running)
        for place in after[finished]:
            before[place].discard(finished)
            if not before[place]:
                heapq.heappush(ready, place)
    return now


def _before(jobs: Sequence[Job], maker_of: Callable[[Path], Job | None]) -> dict[int, set[int]]:
    """Return, by the place of each job, the places of those that make what it reads."""
    place_of = {id(job): place for place, job in enumerate(jobs)}
    return {
        place: {place_of[id(maker)] for maker in map(maker_of, job.inputs) if id(maker) in place_of}
        for place, job in enumerate(jobs)
    }
