"""What a selection will take, said before it begins: who is eligible, which passes are to do, and about how long."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grads.data.passes import Passes
from grads.graph.job import Trajectory
from grads.graph.resources import planned_device
from grads.models.footprint import precision, trained_parameters
from grads.models.hardware import CPU, Device
from grads.models.size import ModelSize, read_size
from grads.models.speed import Pass, pass_seconds
from grads.probing.job import ProbeModel
from grads.runtime.files import read_object
from grads.runtime.progress import duration
from grads.signals.columns import needs_gradients
from grads.study.job import Job
from grads.training.job import Train

if TYPE_CHECKING:
    from grads.api.workbench import Workbench
    from grads.selection.job import Select

PADDED = 1.15
"""Tokens of batches to those of their records, where these are sorted by length."""


@dataclass(frozen=True)
class Work:
    """Passes of a model over all records.

    Attributes:
        name: as a reader is told of it.
        kind: of the passes.
        times: how often all records go through.
    """

    name: str
    kind: Pass
    times: int = 1


def forecast(bench: "Workbench", jobs: Sequence["Select"]) -> str:
    """Return a sentence: how many records are eligible, what is to do for selections, and about how long it takes.

    The tokens are counted if they are not yet; what is made already takes nothing.
    """
    tokens = read_object(bench.store("tokens") / "meta.json")
    counts = bench.counts
    too_long = int(tokens["over_length"])
    left_out = {"empty": counts["empty"], "duplicate": counts["duplicate"], "too long": too_long}
    left_out |= {"beyond the limit": counts["beyond_limit"]}
    named = ", ".join(f"{count} {name}" for name, count in left_out.items() if count) or "all of them"
    eligible = f"{counts['read']} records, {named}: {tokens['records']} are eligible"
    work = [work for job in _to_do(bench, jobs) for work in _work(job)]
    if not work:
        return f"{eligible}; nothing is left to measure"
    said = ", ".join(f"{count} {name}" for name, count in Counter(one.name for one in work).items())
    seconds = _seconds(bench, work, int(tokens["records"]), int(tokens["tokens"]))
    if seconds is None:
        return f"{eligible}; to do: {said}"
    device = planned_device()
    return f"{eligible}; to do: {said}; about {duration(seconds)} by what a {device.name} computes"


def _to_do(bench: "Workbench", jobs: Sequence["Select"]) -> list[Job]:
    """Return the jobs on the way whose results are not there."""
    found: dict[int, Job] = {}
    for job in jobs:
        for earlier in bench.graph.before(job):
            if not all(path.exists() for path in earlier.outputs):
                found[id(earlier)] = earlier
    return list(found.values())


def _work(job: Job) -> Iterator[Work]:
    if isinstance(job, ProbeModel):
        gradients = needs_gradients(job.measures)
        yield Work("pass with gradients" if gradients else "forward pass", "probe" if gradients else "forward")
    elif isinstance(job, Train):
        yield Work(f"training run of {job.epochs} epoch{'s' * (job.epochs != 1)}", "train", job.epochs or 1)
        if isinstance(job, Trajectory):
            yield Work("trajectory", "forward", int(job.probe["trajectory"]["checkpoints"]))


def _seconds(bench: "Workbench", work: Sequence[Work], records: int, tokens: int) -> float | None:
    """Return the seconds of passes by a device's data sheet; None where the model's size cannot be told."""
    size = read_size(bench.model)
    if size is None:
        return None
    device = _this_machine(planned_device())
    return sum(_pass_seconds(bench, one, size, device, records, tokens) for one in work)


def _pass_seconds(bench: "Workbench", work: Work, size: ModelSize, device: Device, records: int, tokens: int) -> float:
    training = bench.request.training
    padded = math.ceil(PADDED * tokens)
    batches = math.ceil(padded / bench.machine.token_budget)
    if work.kind == "train":
        batches = math.ceil(records / min(bench.machine.micro_batch, training.global_batch))
    passes = Passes(records, tokens, padded, batches).times(work.times)
    trained = trained_parameters(size, training) if work.kind == "train" else 0
    asked = training.precision if work.kind == "train" else bench.request.probe.precision
    return pass_seconds(size, passes, work.kind, device, computed=precision(asked, device), trained=trained)


def _this_machine(device: Device) -> Device:
    """Return the device as commands use it: a job of a study has one core, a command all that it may."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return replace(device, flops=cores * device.flops) if device == CPU else device
