"""`grads status`: which cells are done, and why the others are not."""

import platform
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from grads.cli.study import Config
from grads.runtime.supervisor import ENDED, STARTED

if TYPE_CHECKING:
    from grads.study.grid import Cell
    from grads.study.job import Job

TAIL = 6
"""Lines of a failed job's log that are shown."""
WITHOUT_A_WORD = (
    "ended without a word: it was killed together with the process that watches it, with Snakemake itself, say, or by "
    "a cluster for its memory or time (`sacct` tells)"
)
KINDS = ("done", "running", "waiting", "failed", "stopped", "damaged")


@dataclass(frozen=True)
class State:
    """How far a cell is, one of KINDS, and the job at which it is so.

    A cell is damaged where what it was made of, or what it left, is no longer what jobs wrote.
    """

    kind: str
    job: "Job | None" = None


def is_made(job: "Job", joined: Collection[Path] = ()) -> bool:
    """Return whether all that a job makes is there, or was there: shards are gone once they are `joined`."""
    return all(path.exists() or path in joined for path in job.outputs)


def state_of(jobs: "Sequence[Job]", running: bool, damaged: Collection[Path] = ()) -> State:
    """Return how far a cell is, given its jobs, whether a run holds the study, and which artefacts are damaged.

    A job whose output is missing and whose log is there has failed if the log says so; otherwise it runs, or was
    stopped before it could say anything: killed with the process that watches it.
    """
    for job in jobs:
        if not set(job.outputs).isdisjoint(damaged):
            return State("damaged", job)
    joined = {path for job in jobs if job.rule == "probe_shards" and is_made(job) for path in job.inputs}
    missing = [job for job in jobs if not is_made(job, joined)]
    # Only the last output says that a cell is done: what came before may have been removed since.
    if not missing or jobs[-1] not in missing:
        return State("done")
    for job in missing:
        if job.log.is_file():
            if failure(job.log):
                return State("failed", job)
            return State("running" if running and not process_is_gone(job.log) else "stopped", job)
    return State("waiting", missing[0])


def failure(log: Path) -> list[str]:
    """Return the last lines of a log that ends in an error, nothing when it does not."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = any(line.startswith(("error: ", "Traceback ", "Fatal Python error: ", ENDED)) for line in lines)
    return lines[-TAIL:] if said else []


def process_is_gone(log: Path) -> bool:
    """Return whether the process that a log begins with is of this machine and has ended."""
    with log.open(encoding="utf-8", errors="replace") as file:
        started = STARTED.match(file.readline())
    # On another machine, as those of a cluster, its number says nothing.
    return started is not None and started["host"] == platform.node() and not Path("/proc", started["pid"]).exists()


def seconds_left(jobs: "Iterable[Job]") -> tuple[float, float]:
    """Return how long one worker would still take for jobs, and how long it took for those that are done, in seconds.

    A job that is to be done is taken to be as long as those of its rule were; of rules none of whose jobs is done
    nothing is known, and nothing counted.
    """
    from grads.runtime.manifest import manifest_of

    spent: dict[str, list[float]] = {}
    left: dict[str, int] = {}
    for job in jobs:
        manifest = manifest_of(job.outputs[0]) if job.outputs and is_made(job) else None
        if manifest is None:
            left[job.rule] = left.get(job.rule, 0) + 1
        else:
            spent.setdefault(job.rule, []).append(float(manifest.content["seconds"]))
    known = {rule: sum(seconds) / len(seconds) for rule, seconds in spent.items()}
    return sum(known.get(rule, 0.0) * count for rule, count in left.items()), sum(map(sum, spent.values()))


def status(config: Config) -> None:
    """Show which cells of a study are done, missing or failed, and why.

    \b
    Example:
      grads status mine.yaml
    """
    from collections import Counter

    from grads.graph.study import StudyGraph
    from grads.runtime.locks import study_holder
    from grads.study.artefacts import damaged
    from grads.study.reading import read_study

    study = read_study(config)
    graph = StudyGraph(study, reading=False)
    holder = study_holder(graph.paths.root)
    broken = damaged(study)
    artefacts = {damage.artefact for damage in broken}
    states = {cell: state_of(graph.on_the_way(cell), holder is not None, artefacts) for cell in graph.cells}
    counts = Counter(state.kind for state in states.values())
    parts = [f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]]
    typer.echo(f"{study.study}: {', '.join(parts)} of {len(states)} cells" + (f"; {holder} runs" if holder else ""))
    if not broken:
        _say_progress(list(graph.jobs()))
    for cell, state in states.items():
        if state.job is not None:
            typer.echo(f"{state.kind:8} {cell}  at {state.job.rule}")
    for damage in broken:
        typer.echo(f"\ndamaged: {damage}")
    _explain_failures(states)


def _say_progress(jobs: "Sequence[Job]") -> None:
    """Print how many jobs are done, and how long the others will take by what their like took."""
    from grads.runtime.progress import duration

    done = sum(is_made(job) for job in jobs)
    left, spent = seconds_left(jobs)
    if 0 < done < len(jobs):
        share = f", {spent / (spent + left):.0%} by time" if left else ""
        typer.echo(f"{done} of {len(jobs)} jobs are done{share}; about {duration(left)} of one worker are left")


def _explain_failures(states: "dict[Cell, State]") -> None:
    """Print the end of each failed or stopped job's log once, however many cells wait for it."""
    blocked: dict[Path, list[str]] = {}
    for state in states.values():
        if state.kind in ("failed", "stopped") and state.job:
            blocked.setdefault(state.job.log, []).append(state.job.rule)
    for log, waiting in blocked.items():
        typer.echo(f"\n{waiting[0]} ({len(waiting)} cell{'s' if len(waiting) > 1 else ''}), {log}:")
        lines = failure(log) or [WITHOUT_A_WORD]
        typer.echo("\n".join(f"  {line}" for line in lines))
