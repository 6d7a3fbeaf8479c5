"""Commands about a study as a whole: check, list, run, clean."""

import json
import os
import sys
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grads.runtime.errors import GradsError, nearest, printable
from grads.runtime.shipped import located, snakemake_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel
    from rich.table import Table

    from grads.config.arms import Arm
    from grads.config.study import Study
    from grads.study.grid import Cell

DEMO = Path("config/demo.yaml")


def _located(path: Path | None) -> Path | None:
    """Return where a path of the command line leads to, in this folder or in what comes with grads."""
    return None if path is None else located(path)


Config = Annotated[
    Path,
    typer.Argument(help="The study's YAML file, or one that comes with grads.", metavar="CONFIG", callback=_located),
]
Only = list[str] | None
OURS = ("--arm", "--domain", "--model", "--ratio", "--seed")
"""Options of `grads run` that say which part of a study is run."""


def checked_study(config: Path) -> "Study":
    """Read a study and check all that can be known before any work.

    Raises:
        GradsError: all that is wrong.
    """
    from grads.graph import needs as plan

    return plan.checked_study(config)


def check(config: Config) -> None:
    """Check a study's config and show what it asks for, in one screen.

    \b
    Example:
      grads check config/demo.yaml
    """
    from rich.console import Console
    from rich.markup import escape

    from grads.graph.study import StudyGraph
    from grads.study.claim_sentences import in_study, read_claims
    from grads.study.grid import cells

    study = checked_study(config)
    console = Console()
    console.print(f"[bold]{study.study}[/bold]: {escape(study.label)}", highlight=False)
    console.print(_grid(study))
    for name, entries in (("models", study.models), ("domains", study.domains), ("tasks", study.general.tasks)):
        console.print(f"{name:8} {', '.join(entries)}", highlight=False, soft_wrap=True)
    if claims := read_claims(study):
        known = sum(in_study(study, claim) for claim in claims)
        console.print(f"{'claims':8} {len(claims)}, of which {known} are about this study", highlight=False)
    console.print(f"{'seeds':8} {', '.join(map(str, study.seeds))}", highlight=False, soft_wrap=True)
    for line in lengths(study):
        console.print(f"{'lengths':8} {line}", highlight=False, soft_wrap=True, markup=False)
    grid = cells(study)
    if defaults := StudyGraph(study, reading=False).defaults:
        console.print(defaults, highlight=False, soft_wrap=True, markup=False)
    trained = sum(cell.trained for cell in grid)
    console.print(f"{'cells':8} {len(grid)}, of which {trained} are trained; the config is valid", highlight=False)


def lengths(study: "Study") -> list[str]:
    """Return a line for each model and domain with records that are too long; and for those not looked at yet."""
    from grads.runtime.files import read_json
    from grads.study.lengths import length_sentence
    from grads.study.paths import Paths

    lines = []
    unknown = 0
    for model in study.used_models:
        for domain in study.domains:
            meta = Paths(study.study).store(model, domain, "tokens") / "meta.json"
            if not meta.is_file():
                unknown += 1
            elif sentence := length_sentence(read_json(meta).get("lengths", {}), study.training.max_length):
                lines.append(f"{model}/{domain}: {sentence}")
    if unknown:
        lines.append("not known before data and models are prepared: `grads plan` does that, and says")
    return lines


def _grid(study: "Study") -> "Table":
    from grads.graph.needs import arm_stores
    from grads.selection.needs import arm_method
    from grads.study.grid import arm_ratios, cells

    table = _plain_table(["arm", "method", "ratios", "signals", "parameters", "training", "cells"])
    grid = cells(study)
    for arm, declared in study.arms.items():
        parameters = ", ".join(f"{key}={value}" for key, value in declared.parameters.items())
        count = str(sum(cell.arm == arm for cell in grid))
        ratios = " ".join(arm_ratios(study, arm))
        row = [arm, arm_method(study, arm).name, ratios, " ".join(arm_stores(study, arm)), parameters]
        _add_row(table, *row, _training(declared), count)
    return table


def _training(arm: "Arm") -> str:
    """Return how an arm departs from plain training; empty where it does not."""
    given = dict(arm.strategy_parameters) | ({"match": arm.match} if arm.match != "epochs" else {})
    own = arm.training.given
    given |= {key: value for key, value in own.items() if key != "adapter"}
    given |= {f"adapter.{key}": value for key, value in own.get("adapter", {}).items()}
    strategy = [arm.strategy] if arm.strategy != "sft" else []
    return " ".join([*strategy, *(f"{key}={value}" for key, value in given.items())])


def _plain_table(columns: list[str]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="")
    for place, column in enumerate(columns):
        # Names and parameters are never broken: they are what is copied into a config.
        table.add_column(column, overflow="fold", no_wrap=place == 0 or column == "parameters")
    return table


def _add_row(table: "Table", *cells: str) -> None:
    """Add a row of plain texts: a bracket in one is no markup, and what no screen shows is escaped."""
    from rich.markup import escape

    table.add_row(*(escape("\n".join(map(printable, text.split("\n")))) for text in cells))


def list_(
    what: Annotated[str, typer.Argument(help="methods, strategies, metrics, signals, models, domains or tasks.")],
    name: Annotated[
        str | None, typer.Argument(help="Of one method or strategy: what it is, what it reads, its parameters.")
    ] = None,
    config: Annotated[
        Path, typer.Option(help="The study whose models, domains or tasks are listed.", callback=_located)
    ] = DEMO,
) -> None:
    """List selection methods, training strategies, domain metrics, signals, or a study's models, domains or tasks.

    \b
    Examples:
      grads list methods
      grads list methods grads
      grads list domains --config mine.yaml
    """
    from rich.console import Console

    ours = {"methods": _methods, "strategies": _strategies, "metrics": _metrics, "signals": _signals}
    studys = {"models": _models, "domains": _domains, "tasks": _tasks}
    if what not in (*ours, *studys):
        raise GradsError(f"there is no list of '{what}': {nearest(what, [*ours, *studys])}")
    if name is not None:
        typer.echo(_described(what, name))
        return
    Console().print(ours[what]() if what in ours else studys[what](checked_study(config)))


def _metrics() -> "Table":
    from grads.evaluation.metrics.registry import metrics

    table = _plain_table(["metric", "title", "better", "source"])
    for name, metric in metrics().items():
        _add_row(table, name, metric.title, "higher" if metric.higher_is_better else "lower", metric.source)
    return table


def _signals() -> "Table":
    from grads.signals.columns import columns
    from grads.signals.measures.contract import MeanSignal
    from grads.signals.measures.registry import REGISTRY
    from grads.signals.names import VECTORS, known_measures

    declared = REGISTRY.all()
    table = _plain_table(["signal", "in the store", "source"])
    for name in sorted(known_measures()):
        vector = name in VECTORS or isinstance(declared.get(name), MeanSignal)
        held = f"vectors: {name}" if vector else "\n".join(columns([name]))
        _add_row(table, name, held, declared[name].source if name in declared else "the probe's own pass")
    return table


def _described(what: str, name: str) -> str:
    """Return what one method or strategy is.

    Raises:
        GradsError: there is none of that name, or what is listed has no more to be said of one.
    """
    from grads.cli.described import described_method, described_strategy

    kinds = {"methods": described_method, "strategies": described_strategy}
    if what not in kinds:
        raise GradsError(f"list {what} {name}: only methods and strategies are described one by one: remove '{name}'")
    return kinds[what](name)


def _methods() -> "Table":
    from grads.cli.described import further_records
    from grads.selection.documentation import cost
    from grads.selection.registry import methods

    letters = {"validation": "V", "anchor": "A"}
    table = _plain_table(["method", "title", "passes", "reads"])
    table.caption = (
        "passes: E an epoch of training, F forward, B with gradients, T a trajectory. "
        "reads: V records of the target (--validation), A general instructions (--anchor). "
        "Parameters and sources: grads list methods NAME"
    )
    table.caption_justify = "left"
    for column in table.columns:
        column.no_wrap = True
    for name, method in methods().items():
        needs = method.needs(method.shown)
        further = [letters.get(other, other) for other in further_records(needs.stores, needs.texts)]
        further += [*needs.arms, *["a file"] * bool(needs.files)]
        # Passes over the few further records are told where one method is described.
        own = {store: held for store, held in needs.stores.items() if not further_records([store], ())}
        _add_row(table, name, method.title, cost(replace(needs, stores=own)), ", ".join(further))
    return table


def _strategies() -> "Table":
    from grads.training.strategies.registry import strategies

    table = _plain_table(["strategy", "title", "parameters", "source"])
    for name, strategy in strategies().items():
        _add_row(table, name, strategy.title, _shown(strategy.parameters()), strategy.source)
    return table


def _shown(parameters: "BaseModel") -> str:
    """Return parameters one a line, as YAML has their values."""
    pairs = parameters.model_dump().items()
    return "\n".join(f"{key}={json.dumps(value)}".replace('"', "") for key, value in pairs)


def _models(study: "Study") -> "Table":
    return _entries(["model", "title", "source", "prompts"], study.every_model, lambda model: model.format.template)


def _domains(study: "Study") -> "Table":
    return _entries(["domain", "title", "source"], study.domains)


def _tasks(study: "Study") -> "Table":
    table = _plain_table(["task", "title", "metric", "form", "items", "chance", "file"])
    for name, task in study.general.tasks.items():
        place = task.yaml or f"lm-eval {getattr(task.data, 'name', '')}"
        _add_row(table, name, task.title, task.metric, task.form, str(task.sample or "all"), str(task.chance), place)
    return table


def _entries(columns: list[str], entries: Any, last: Any = None) -> "Table":
    table = _plain_table(columns)
    for name, entry in entries.items():
        source = f"{entry.source.kind} {entry.source.shown}".strip()
        _add_row(table, name, entry.title, source, *([last(entry)] if last else []))
    return table


def run(
    context: typer.Context,
    config: Config,
    arm: Annotated[Only, typer.Option(help="Only this arm; repeat for several.")] = None,
    domain: Annotated[Only, typer.Option(help="Only this domain.")] = None,
    model: Annotated[Only, typer.Option(help="Only this model.")] = None,
    ratio: Annotated[Only, typer.Option(help="Only this keep ratio.")] = None,
    seed: Annotated[Only, typer.Option(help="Only this seed.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would run, and run nothing.")] = False,
    workflow_profile: Annotated[
        Path | None,
        typer.Option(help="A Snakemake profile: your own folder, or `profiles/slurm` of grads.", callback=_located),
    ] = None,
) -> None:
    """Run a study with Snakemake, from data to tables; or a part of it, the cells that fit, to their metrics.

    It works in this folder: `results/` has what the study leaves, `resources/` what is fetched. Started again, it goes
    on where it was stopped. `grads status` says how far it is.

    All other options and arguments go to Snakemake, such as `--cores 2`, `--report FILE` and `--unlock`: see
    `snakemake --help`. An argument after CONFIG is a file to make, or `partial`: tables over what is there.

    \b
    Examples:
      grads run mine.yaml --dry-run
      grads run mine.yaml --cores 2
      grads run mine.yaml --arm grads --arm random --ratio 0.05
      grads run mine.yaml --report results/mine/report.html
      grads run mine.yaml --workflow-profile profiles/slurm
    """
    _check_options(config, context.args)
    study = checked_study(config)
    asked = {"model": model, "domain": domain, "arm": arm, "ratio": ratio, "seed": seed}
    targets = _metrics_of(study, chosen_cells(study, asked)) if any(asked.values()) else []
    # Targets come first: --configfile would take them for config files.
    named = list(takewhile(lambda argument: not argument.startswith("-"), context.args))
    options = context.args[len(named) :]
    if dry_run:
        options.append("--dry-run")
    if workflow_profile is not None:
        options += ["--workflow-profile", str(workflow_profile)]
    command = ["-m", "snakemake", *snakemake_options(), *targets, *named, "--configfile", str(config), *options]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *command])


def _check_options(config: Path, others: "Sequence[str]") -> None:
    """Refuse options that Snakemake would get and cannot be meant for it.

    Raises:
        GradsError: one stands before the config, names another config, or is nearly one of ours.
    """
    if str(config).startswith("-"):
        raise GradsError(f"run {config}: the config comes first: grads run CONFIG {config} ...")
    for option in (other.partition("=")[0] for other in others):
        if option in ("--configfile", "--configfiles"):
            raise GradsError(f"run {option}: one config is run, that after `grads run`: put all keys into it")
        if option.startswith("--") and option.removesuffix("s") in OURS:
            raise GradsError(f"run {option}: did you mean '{option.removesuffix('s')}'? repeat it for several values")


def _metrics_of(study: "Study", chosen: "Iterable[Cell]") -> list[str]:
    """Return the files that cells are finished with, those on other domains too."""
    from grads.study.grid import cross_domains
    from grads.study.paths import Paths

    paths = Paths(study.study)
    cells = list(chosen)
    files = [paths.run(cell) / "metrics.json" for cell in cells]
    files += [paths.cross(cell, other) for cell in cells for other in cross_domains(study, cell.domain)]
    return list(dict.fromkeys(map(str, files)))


def chosen_cells(study: "Study", asked: "dict[str, list[str] | None]") -> "list[Cell]":
    """Return the cells that have one of the asked values in every field that is asked for.

    Raises:
        GradsError: no cell has such a value, or none fits all of them.
    """
    from grads.study.grid import cells

    found: Iterable[Cell] = cells(study)
    for name, values in asked.items():
        if not values:
            continue
        valid = {str(getattr(cell, name)) for cell in cells(study)}
        for value in values:
            if value not in valid:
                raise GradsError(f"--{name} {value}: study '{study.study}' has no such {name}: {nearest(value, valid)}")
        found = [cell for cell in found if str(getattr(cell, name)) in values]
    chosen = list(found)
    if not chosen:
        wanted = " ".join(f"--{name} {value}" for name, values in asked.items() for value in values or [])
        raise GradsError(f"no cell of study '{study.study}' fits {wanted}: `grads check` shows what there is")
    return chosen


def clean(
    config: Config,
    everything: Annotated[bool, typer.Option("--all", help="Everything of the study: results/<study>.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove what a study leaves behind: checkpoints of stopped jobs, or with --all everything of it.

    \b
    Examples:
      grads clean mine.yaml
      grads clean mine.yaml --all --yes
    """
    from grads.runtime.files import remove
    from grads.runtime.locks import study_holder
    from grads.study.paths import Paths
    from grads.study.reading import read_study

    paths = Paths(read_study(config).study)
    folder = paths.root if everything else paths.root / "scratch"
    if not folder.is_dir():
        typer.echo(f"{folder} is not there: nothing to remove")
        return
    if holder := study_holder(paths.root):
        raise GradsError(f"{paths.root}: a run ({holder}) works on this study: wait for it, or stop it")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    if not yes:
        typer.confirm(f"Remove {folder} ({size / 1e6:.1f} MB)?", abort=True)
    remove(folder)
    typer.echo(f"removed {folder} ({size / 1e6:.1f} MB)")
