"""Running jobs in this process: in order, finished ones left out, so that what was stopped is carried on."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from grads.runtime.errors import GradsError
from grads.runtime.inputs import read_inputs
from grads.runtime.manifest import abandon_artefacts, begin_artefacts, manifest_of, verified, write_manifests
from grads.runtime.progress import say


@dataclass(frozen=True)
class Machine:
    """What a job may take of this machine; it changes no value beyond rounding.

    Attributes:
        micro_batch: most records of one forward and backward pass in training.
        token_budget: most tokens of a batch of the probe.
    """

    micro_batch: int = 8
    token_budget: int = 2048


class Runnable(Protocol):
    """A job, as `grads.study.job` declares it."""

    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def takes(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def contents(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def inputs(self) -> Sequence[Path]: ...  # noqa: D102
    @property
    def outputs(self) -> Sequence[Path]: ...  # noqa: D102
    @property
    def settings(self) -> Mapping[str, Any]: ...  # noqa: D102
    def run(self, machine: Machine) -> Mapping[str, Any] | None: ...  # noqa: D102


RESULTS = Path("results")
"""Where every file that a job of a study reads was made by another one."""


def perform(job: Runnable, machine: Machine, made: Path = RESULTS) -> None:
    """Run a job: check what it reads, run it, write the manifests of what it has made.

    Args:
        job: the job.
        machine: what it may take.
        made: see `read_inputs`.

    Raises:
        GradsError: an input is damaged, or changed while it was read; or whatever the job refuses.
    """
    started = time.time()
    inputs = read_inputs(job.inputs, job.contents, made)
    begin_artefacts(job.outputs)
    try:
        how = job.run(machine)
    except BaseException:
        abandon_artefacts(job.outputs)
        raise
    inputs.check_unchanged()
    taken = {name: value for name, value in asdict(machine).items() if name in job.takes}
    write_manifests(job.outputs, inputs.sha256, recorded(job) | taken | dict(how or {}), started)


def recorded(job: Runnable) -> dict[str, Any]:
    """Return what a job's manifests say of its settings."""
    content: dict[str, Any] = json.loads(json.dumps({"rule": job.rule, **job.settings}, default=str))
    return content


def is_finished(job: Runnable) -> bool:
    """Return whether what a job makes is there, and was made by it from what it reads.

    Raises:
        GradsError: it is there and damaged.
    """
    inputs = {str(path): job.contents.get(str(path)) or verified(path) for path in job.inputs if path.exists()}
    if len(inputs) < len(job.inputs) or not is_current(job):
        return False
    for output in job.outputs:
        manifest = manifest_of(output)
        if manifest is None or manifest.content["inputs"] != inputs:
            return False
        verified(output)
    return True


def is_current(job: Runnable) -> bool:
    """Return whether what a job makes is there, and was made with its settings; contents are not looked at."""
    if not all(output.exists() for output in job.outputs):
        return False
    asked = recorded(job)
    for output in job.outputs:
        manifest = manifest_of(output)
        if manifest is None:
            return False
        settings = manifest.content["settings"]
        if {key: settings.get(key) for key in asked} != asked:
            return False
    return True


def run_jobs(jobs: Iterable[Runnable], machine: Machine, made: Path = RESULTS) -> None:
    """Run jobs in their order, each after all that it reads; those that are finished are left out.

    Raises:
        GradsError: a job refused to work; what was finished before stays.
    """
    for job in jobs:
        if is_finished(job):
            say(f"{job.rule}: there already, {job.outputs[0]}")
            continue
        if missing := [path for path in job.inputs if not path.exists()]:
            raise GradsError(f"{job.rule} reads {missing[0]}, which is not there: give a file or folder that is")
        perform(job, machine, made)
