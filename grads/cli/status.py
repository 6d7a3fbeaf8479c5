"""`grads status`: which cells are done, and why the others are not."""

import platform
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from grads.cli.study import Config
from grads.runtime.supervisor import ENDED, STARTED

if TYPE_CHECKING:
    from grads.config.study import Study
    from grads.study.grid import Cell

TAIL = 6
"""Lines of a failed job's log that are shown."""
WITHOUT_A_WORD = (
    "ended without a word: it was killed together with the process that watches it, with Snakemake itself, say, or by "
    "a cluster for its memory or time (`sacct` tells)"
)
KINDS = ("done", "running", "waiting", "failed", "stopped", "damaged")


@dataclass(frozen=True)
class Step:
    """A job on the way to a cell: its rule, one of its outputs, and its log."""

    rule: str
    output: Path
    log: Path


@dataclass(frozen=True)
class State:
    """How far a cell is, one of KINDS, and the step at which it is so.

    A cell is damaged where what it was made of, or what it left, is no longer what jobs wrote.
    """

    kind: str
    step: Step | None = None


def steps(study: "Study", cell: "Cell") -> list[Step]:
    """Return the jobs on the way to a cell, in the order in which they run."""
    from grads.selection.needs import references
    from grads.study.grid import cross_domains
    from grads.study.paths import Paths

    paths = Paths(study.study)
    logs, run, model = paths.root / "logs", paths.run(cell), cell.model
    found = [
        Step("prepare_domains", paths.records(cell.domain, "train"), logs / "prepare_domains.log"),
        Step("prepare_general", paths.general("text.jsonl"), logs / "prepare_general.log"),
        Step("prepare_model", paths.model(model), logs / "prepare_model" / f"{model}.log"),
    ]
    if not cell.trained:
        log = logs / "evaluate" / f"{model}-untuned.log"
        found.append(Step("evaluate", run / "predictions.jsonl", log))
    else:
        found += _signal_steps(study, cell)
        for other in references(study, cell.arm, cell.ratio):
            found += _selection_steps(study, type(cell)(cell.model, cell.domain, other, cell.ratio, cell.seed))
        found += _selection_steps(study, cell)
        found.append(Step("train", run / "training.json", logs / "train" / f"{cell}.log"))
        found.append(Step("evaluate", run / "predictions.jsonl", logs / "evaluate" / f"{cell}.log"))
    found.append(Step("metrics", run / "metrics.json", logs / "metrics" / f"{cell}.log"))
    for other in cross_domains(study, cell.domain) if cell.trained else []:
        found.append(Step("evaluate_cross", paths.cross_predictions(cell), logs / "evaluate_cross" / f"{cell}.log"))
        found.append(Step("metrics_cross", paths.cross(cell, other), logs / "metrics_cross" / f"{cell}-{other}.log"))
    return found


def _signal_steps(study: "Study", cell: "Cell") -> list[Step]:
    from grads.graph.needs import arm_stores
    from grads.study.paths import ANCHOR, Paths, split_label, store_point, warm_cell
    from grads.training.needs import strategy_needs

    paths = Paths(study.study)
    logs = paths.root / "logs"
    labels = [split_label(label) for label in arm_stores(study, cell.arm)]
    found = []
    if strategy_needs(study, cell.arm).replay or any(store_point(store)[2] == ANCHOR for _model, store in labels):
        found.append(Step("prepare_instructions", paths.general("anchor.parquet"), logs / "prepare_instructions.log"))
    scorers = sorted({model for model, _store in labels if model} - {cell.model})
    found += [Step("prepare_model", paths.model(name), logs / "prepare_model" / f"{name}.log") for name in scorers]
    for model in (cell.model, *scorers):
        log = logs / "probe_tokens" / model / f"{cell.domain}.log"
        found.append(Step("probe_tokens", paths.store(model, cell.domain, "tokens"), log))
    for scorer, store in labels:
        found += _store_steps(study, warm_cell(scorer or cell.model, cell.domain, cell.seed), store)
    if study.arms[cell.arm].start == "warm":
        found.append(_warm_step(study, warm_cell(cell.model, cell.domain, cell.seed)))
    return list(dict.fromkeys(found))


def _store_steps(study: "Study", warm: "Cell", store: str) -> list[Step]:
    """Return the jobs that make a signal store of the model, domain and seed of a preliminary epoch."""
    from grads.study.paths import DURING, TRAJECTORY, WARM, Paths, store_folder, store_point

    paths, point, folder = Paths(study.study), store_point(store)[0], store_folder(store, warm.seed)
    made, logs = paths.store(warm.model, warm.domain, folder), paths.root / "logs"
    if point in (DURING, TRAJECTORY):
        return [Step(f"train_{point}", made, logs / "train" / f"{replace(warm, arm=point)}.log")]
    found = [_warm_step(study, warm)] if point == WARM else []
    rule, log = f"probe_{point}", logs / f"probe_{point}" / warm.model / warm.domain / f"{folder}.log"
    if study.probe.shards == 1:
        return [*found, Step(rule, made, log)]
    # Shards are gone once they are joined.
    for shard in () if made.exists() else map(str, range(study.probe.shards)):
        part = paths.shard(warm.model, warm.domain, folder, shard)
        found.append(Step(rule, part, log.with_suffix(f".{shard}.log")))
    return [*found, Step("probe_shards", made, logs / "probe_shards" / warm.model / warm.domain / f"{folder}.log")]


def _warm_step(study: "Study", warm: "Cell") -> Step:
    from grads.study.paths import Paths

    paths = Paths(study.study)
    return Step("train_warm", paths.run(warm) / "training.json", paths.root / "logs" / "train" / f"{warm}.log")


def _selection_steps(study: "Study", cell: "Cell") -> list[Step]:
    from grads.study.paths import Paths

    paths = Paths(study.study)
    return [Step("select", paths.selection(cell), paths.root / "logs" / "select" / f"{cell}.log")]


def state_of(found: list[Step], running: bool, damaged: Collection[Path] = ()) -> State:
    """Return how far a cell is, given its jobs, whether a run holds the study, and which artefacts are damaged.

    A job whose output is missing and whose log is there has failed if the log says so; otherwise it runs, or was
    stopped before it could say anything: killed with the process that watches it.
    """
    for step in found:
        if step.output in damaged:
            return State("damaged", step)
    missing = [step for step in found if not step.output.exists()]
    # Only the last output says that a cell is done: what came before may have been removed since.
    if not missing or found[-1] not in missing:
        return State("done")
    for step in missing:
        if step.log.is_file():
            if failure(step.log):
                return State("failed", step)
            return State("running" if running and not process_is_gone(step.log) else "stopped", step)
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


def status(config: Config) -> None:
    """Show which cells of a study are done, missing or failed, and why.

    \b
    Example:
      grads status mine.yaml
    """
    from collections import Counter

    from grads.runtime.locks import study_holder
    from grads.study.artefacts import damaged
    from grads.study.grid import cells
    from grads.study.load import read_study
    from grads.study.paths import Paths

    study = read_study(config)
    holder = study_holder(Paths(study.study).root)
    broken = damaged(study)
    artefacts = {damage.artefact for damage in broken}
    states = {cell: state_of(steps(study, cell), holder is not None, artefacts) for cell in cells(study)}
    counts = Counter(state.kind for state in states.values())
    parts = [f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]]
    typer.echo(f"{study.study}: {', '.join(parts)} of {len(states)} cells" + (f"; {holder} runs" if holder else ""))
    for cell, state in states.items():
        if state.step is not None:
            typer.echo(f"{state.kind:8} {cell}  at {state.step.rule}")
    for damage in broken:
        typer.echo(f"\ndamaged: {damage}")
    _explain_failures(states)


def _explain_failures(states: "dict[Cell, State]") -> None:
    """Print the end of each failed or stopped job's log once, however many cells wait for it."""
    blocked: dict[Path, list[Step]] = {}
    for state in states.values():
        if state.kind in ("failed", "stopped") and state.step:
            blocked.setdefault(state.step.log, []).append(state.step)
    for log, waiting in blocked.items():
        typer.echo(f"\n{waiting[0].rule} ({len(waiting)} cell{'s' if len(waiting) > 1 else ''}), {log}:")
        lines = failure(log) or [WITHOUT_A_WORD]
        typer.echo("\n".join(f"  {line}" for line in lines))
