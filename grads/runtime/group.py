"""Jobs of a group: several that a cluster runs as one, each with outputs, a log, a manifest and a resume of its own.

Snakemake takes away the outputs of every job of a group when one of them fails. So a finished job of a group leaves
hard links to what it has made, which take no room, and finds them when it is run again.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from grads.runtime.errors import GradsError
from grads.runtime.files import digest, link_or_copy, remove
from grads.runtime.manifest import manifests_for
from grads.runtime.preload import start_server
from grads.runtime.runner import Runnable, is_finished

GROUPED = "GRADS_GROUP"
"""Variable that tells a job that it is one of a group."""
TARGETS = "--target-jobs"
"""Option that names the jobs of a node."""


class Finished:
    """What a job has made, as links in a folder of its own.

    Args:
        job: the job.
        scratch: where such folders lie.
    """

    def __init__(self, job: Runnable, scratch: Path) -> None:
        self.job = job
        self.folder = scratch / job.rule / digest([str(path) for path in job.outputs], 16)

    def keep(self) -> None:
        """Link what the job has made, and its manifests, into the folder."""
        remove(self.folder)
        for place in [*self.job.outputs, *manifests_for(self.job.outputs)]:
            _link(place, self.folder / place)

    def restore(self) -> bool:
        """Put what is in the folder back, if it is what the job would make; return whether it was."""
        if not self.folder.is_dir():
            return False
        places = [file.relative_to(self.folder) for file in sorted(self.folder.rglob("*")) if file.is_file()]
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            link_or_copy(self.folder / place, place)
        try:
            if is_finished(self.job):
                return True
        except GradsError:
            # Damaged: it is made again.
            pass
        for place in [*self.job.outputs, *places]:
            remove(place)
        remove(self.folder)
        return False


def asked_jobs(arguments: Sequence[str]) -> int:
    """Return how many jobs Snakemake is to run on a node, by its command line: rules are read before options."""
    if TARGETS not in arguments:
        return 0
    following = arguments[arguments.index(TARGETS) + 1 :]
    return sum(1 for _ in itertools.takewhile(lambda argument: not argument.startswith("-"), following))


def start_group(jobs: int) -> None:
    """Tell the jobs that this process will start that they are of a group, and load their libraries once for all.

    Args:
        jobs: how many they are; of one job, nothing is done.
    """
    if jobs > 1:
        os.environ[GROUPED] = str(jobs)
        start_server(jobs)


def in_group() -> bool:
    """Return whether this process's job is one of a group."""
    return GROUPED in os.environ


def _link(path: Path, target: Path) -> None:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            place = target / file.relative_to(path) if file != path else target
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(file, place)
