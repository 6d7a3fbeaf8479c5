"""What is left of a study: its jobs with what each takes, as `grads plan` and the committed plans show it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from grads.config.study import Study
from grads.graph.known import SHOT, UNKNOWN_RECORDS, records_are_known, size_of, uncounted_benchmarks
from grads.graph.resources import MB, check_fits, micro_batch, resources_of
from grads.graph.schedule import left, makespan
from grads.graph.study import StudyGraph
from grads.graph.times import DeviceSpeed, Speed
from grads.graph.work import Work, work_of
from grads.models.hardware import GB, Device
from grads.runtime.progress import duration
from grads.study.job import Job

NOT_PLANNED = ("fetch_", "prefetch_", "install_")
"""Rules that wait for the network or a disk, whose time is not known."""
HEAD = ("rule", "to run", "done", "longest", "together", "host GB", "GPU GB", "disk GB")
KNOBS = {
    "probe": "probe.token_budget",
    "train": "training.max_length",
    "evaluate": "evaluation.token_budget or evaluation.generation_batch",
}
"""What makes jobs smaller whose rules begin so."""
GROUPED = ("train", "evaluate")
"""Rules of which several jobs may be submitted as one."""
GROUP = 3600.0
"""Seconds that such a group is to take, about."""
COLUMNS = "{:20} {:>6} {:>6} {:>13} {:>13} {:>8} {:>7} {:>8}"


@dataclass(frozen=True)
class PlannedJob:
    """A job that is to be run.

    Attributes:
        rule: its rule.
        work: what it does.
        seconds: how long it takes; 0 where that is not known.
        memory_mb: of the host.
        gpu_memory_mb: of the GPU.
    """

    rule: str
    work: Work
    seconds: float
    memory_mb: int
    gpu_memory_mb: int


@dataclass(frozen=True)
class Plan:
    """What is left of a study.

    Attributes:
        jobs: those to be run, in their order.
        done: how many jobs of each rule are done.
        seconds: until all are done, so many side by side.
        workers: how many.
    """

    jobs: list[PlannedJob]
    done: dict[str, int]
    seconds: float
    workers: int


def plan_of(study: Study, graph: StudyGraph, speed: Speed, device: Device, workers: int) -> Plan:
    """Return what is left of a study.

    Args:
        study: the study, as it is counted.
        graph: its jobs.
        speed: says how long work takes.
        device: where jobs run that use one.
        workers: how many run side by side.
    """
    planned = [job for job in graph.in_order() if not job.rule.startswith(NOT_PLANNED)]
    to_do = left(planned, graph.maker_of)
    calls = {id(graph.job(rule, wildcards)): wildcards for rule, wildcards in graph.calls()}
    found = {id(job): planned_job(study, job, calls[id(job)], speed, device) for job in to_do}
    done: dict[str, int] = {}
    for job in planned:
        done[job.rule] = done.get(job.rule, 0) + (id(job) not in found)
    seconds = {key: one.seconds for key, one in found.items()}
    return Plan(list(found.values()), done, makespan(to_do, graph.maker_of, seconds, workers), workers)


def planned_job(study: Study, job: Job, wildcards: dict[str, str], speed: Speed, device: Device) -> PlannedJob:
    """Return what a job takes."""
    work = work_of(study, job.rule, wildcards, partial(micro_batch, study, device=device), device)
    asked = resources_of(study, job.rule, wildcards, 1, device)
    return PlannedJob(job.rule, work, speed.seconds(job.rule, work), asked.memory_mb, asked.gpu_memory_mb)


def table(found: Plan) -> Iterator[str]:
    """Yield a line for each rule, then their sum, and how long all takes side by side."""
    yield COLUMNS.format(*HEAD)
    for rule, done in found.done.items():
        yield _row(rule, [job for job in found.jobs if job.rule == rule], done)
    yield _row("total", found.jobs, sum(found.done.values()), longest=False)
    if found.jobs and found.workers > 1:
        yield f"With {found.workers} side by side: {_shown(found.seconds)}."


def _row(name: str, jobs: Sequence[PlannedJob], done: int, longest: bool = True) -> str:
    """Return the line of some jobs; memory is that of the largest."""
    times = [job.seconds for job in jobs]
    host = max((job.memory_mb for job in jobs), default=0) / 1e3
    gpu = max((job.gpu_memory_mb for job in jobs), default=0) / 1e3
    disk = sum(job.work.disk for job in jobs) / 1e9
    most = _shown(max(times, default=0)) if longest else ""
    memory = (f"{host:.1f}", f"{gpu:.1f}", f"{disk:.2f}")
    return COLUMNS.format(name, len(jobs), done, most, _shown(sum(times)), *memory)


def _shown(seconds: float) -> str:
    return duration(seconds) if seconds else "-"


def device_plan(
    study: Study, graph: StudyGraph, device: Device, records: int | None = None, workers: int = 1
) -> Iterator[str]:
    """Yield the lines of a plan for a device by its data sheet.

    Args:
        study: the study.
        graph: its jobs.
        device: where.
        records: training records of each domain of which nothing says how many it has.
        workers: devices side by side.

    Raises:
        GradsError: a model cannot be trained on the device.
    """
    uncounted = [domain for domain in study.domains if not records_are_known(study, domain)]
    counted = study
    if records is not None and uncounted:
        counted = study.model_copy(update={"splits": study.splits.model_copy(update={"train": records})})
    check_fits(counted, device)
    found = plan_of(counted, graph, DeviceSpeed(counted, device), device, workers)
    yield f"{study.study} on {device.name} ({device.source})"
    yield from table(found)
    yield "Jobs without a time take seconds to minutes on a processor."
    if uncounted:
        each = f"{records} each, as --records says" if records else f"{UNKNOWN_RECORDS} each, a guess: say --records"
        yield f"Training records of {', '.join(uncounted)} are not counted yet and have no limit: {each}."
    if guessed := sorted(uncounted_benchmarks(study)):
        yield f"A guess, until counted: {SHOT} tokens an example in front of a question ({', '.join(guessed)})."
    yield from _too_large(found, device)
    if sizes := group_sizes(found):
        components = " ".join(f"{rule}={size}" for rule, size in sizes.items())
        yield f"Groups of jobs that take about an hour (docs/clusters.md): --group-components {components}"
    if unknown := [model for model in study.used_models if size_of(study, model) is None]:
        yield (
            f"Not counted: {', '.join(unknown)}. A model's size is known once it is fetched, which a run does first; "
            "until then its jobs ask for 8 GB."
        )


def group_sizes(found: Plan) -> dict[str, int]:
    """Return, by rule, how many jobs make a group of about an hour, where that is more than one."""
    sizes = {}
    for rule in GROUPED:
        seconds = [job.seconds for job in found.jobs if job.rule == rule]
        # A group is as long as its jobs together, and there is no use in one that is larger than all.
        size = min(len(seconds), int(GROUP * len(seconds) / sum(seconds))) if sum(seconds) > 0 else 1
        if size > 1:
            sizes[rule] = size
    return sizes


def _too_large(found: Plan, device: Device) -> Iterator[str]:
    """Yield a sentence for each kind of jobs that may not fit, and the keys that make them smaller."""
    for start, keys in KNOBS.items():
        most = max((job.gpu_memory_mb for job in found.jobs if job.rule.startswith(start)), default=0)
        if device.usable is not None and most * MB > device.usable:
            sizes = f"up to {most * MB / GB:.1f} GB, and {device.name} has {device.usable / GB:.1f}"
            yield f"{start}: {sizes}. If memory runs out, lower {keys}."
