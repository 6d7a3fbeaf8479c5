"""`grads plan`: what a study takes before it runs: jobs, hours, memory and disk of each rule, here or elsewhere."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grads.cli.study import Config, checked_study, lengths
from grads.runtime.errors import GradsError
from grads.runtime.shipped import snakemake_options

if TYPE_CHECKING:
    from grads.config.study import Study
    from grads.graph.study import StudyGraph
    from grads.graph.times import MachineSpeed

STARTED = """
import sys
import snakemake.script
from grads.config.yaml_file import read_yaml
from grads.graph.study import StudyGraph
from grads.study.reading import parse_study
config = read_yaml(sys.argv[1])
StudyGraph(parse_study(config), config).job("prepare_general", {}).settings
"""
"""What a job's process does before the job, where libraries are loaded for it."""
LOADING = """
import importlib
from grads.runtime.preload import LIBRARIES
for name in LIBRARIES:
    importlib.import_module(name)
"""
"""What it does where they are not."""
OnDevice = Annotated[
    str | None,
    typer.Option(help="Plan for a device by its data sheet, such as h100-80gb, without running anything here."),
]
Records = Annotated[
    int | None,
    typer.Option(min=1, help="Training records of each domain, where the config has no limit and none are counted."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Jobs side by side; as many as this machine has devices or cores."),
]
Pilot = Annotated[
    Path | None, typer.Option(help="Folder results/<study> of a pilot, which says how much differences vary.")
]
ItemSd = Annotated[
    float | None,
    typer.Option(min=0, help="Without a pilot: standard deviation of a difference over items, on a scale from 0 to 1."),
]
SeedSd = Annotated[float | None, typer.Option(min=0, help="The same over seeds.")]


def plan(
    config: Config,
    device: OnDevice = None,
    records: Records = None,
    workers: Workers = None,
    pilot: Pilot = None,
    item_sd: ItemSd = None,
    seed_sd: SeedSd = None,
) -> None:
    """Show what is left of a study before it runs: jobs, time, memory and disk of each rule, and what it could see.

    Prepares its data and models where they are not there or not this config's, counts what they hold, and measures a
    few passes of each model once. With `--device` nothing is prepared or measured: what is not there yet is counted by
    the config's limits and the models' published shapes, and times follow from the device's data sheet.

    Last come the smallest differences that the study's items and seeds could tell from 0, before anything is run: by
    stated standard deviations, or by the measurements of a pilot.

    \b
    Examples:
      grads plan mine.yaml
      grads plan mine.yaml --device h100-80gb --workers 8
      grads plan mine.yaml --device h100-80gb --pilot results/pilot
    """
    study = checked_study(config)
    _check_sources(pilot, item_sd, seed_sd)
    if defaults := study_graph(study, config).defaults:
        typer.echo(defaults)
    if device is None:
        _print_for_here(study, config, workers)
    else:
        _print_for_device(study, config, device, records, workers or 1)
    _print_differences(study, pilot, item_sd, seed_sd)


def _check_sources(pilot: Path | None, item_sd: float | None, seed_sd: float | None) -> None:
    """Refuse a pilot that is not there, or one next to stated deviations."""
    if pilot is None:
        return
    if item_sd is not None or seed_sd is not None:
        raise GradsError("--pilot says how much differences vary, as --item-sd and --seed-sd do: give one or the other")
    if not (pilot / "measurements.parquet").is_file():
        raise GradsError(
            f"--pilot {pilot}: it holds no measurements.parquet: name the folder results/<study> of a pilot"
        )


def _print_differences(study: "Study", pilot: Path | None, item_sd: float | None, seed_sd: float | None) -> None:
    """Print the smallest differences that a study could see.

    Raises:
        GradsError: the pilot has no measurements, or none of this study's measures.
    """
    from grads.graph.known import general_of, test_records
    from grads.report.planned import GUESS, pilot_lines, stated_lines
    from grads.report.statistics.planning import Deviations

    domains = {domain: test_records(study, domain) for domain in study.domains}
    benchmarks = general_of(study, next(iter(study.models))).tasks
    tasks = {task: benchmarks[task].items for task in study.general.tasks}
    if pilot is not None:
        lines = pilot_lines(study, domains, tasks, pilot)
    else:
        items = {study.domains[domain].title: number for domain, number in domains.items()}
        items |= {study.general.tasks[task].title: number for task, number in tasks.items()}
        deviations = Deviations(
            GUESS.items if item_sd is None else item_sd, GUESS.seeds if seed_sd is None else seed_sd
        )
        lines = stated_lines(study, items, deviations)
    for line in lines:
        typer.echo(line)


def _print_for_device(study: "Study", config: Path, name: str, records: int | None, workers: int) -> None:
    """Print what the jobs of each rule take on a device.

    Raises:
        GradsError: there is no such device, or a model cannot be trained on it.
    """
    from grads.graph.plan import device_plan
    from grads.models.hardware import find_device

    for line in device_plan(study, study_graph(study, config), find_device(name), records, workers):
        typer.echo(line)


def study_graph(study: "Study", config: Path) -> "StudyGraph":
    """Return the graph of a study as its workflow has it."""
    from grads.config.yaml_file import read_yaml
    from grads.graph.study import StudyGraph

    return StudyGraph(study, read_yaml(config))


def _print_for_here(study: "Study", config: Path, workers: int | None) -> None:
    """Print what is left of a study on this machine, by a few passes of each model."""
    from grads.graph.plan import plan_of, table
    from grads.graph.resources import planned_device

    prepare(study, config)
    speed = measured_speed(study, config)
    found = plan_of(study, study_graph(study, config), speed, planned_device(), workers or _workers())
    typer.echo(f"{study.study} on this machine")
    for line in table(found):
        typer.echo(line)
    for line in lengths(study):
        typer.echo(f"lengths: {line}")
    typer.echo(f"{shutil.disk_usage(Path()).free / 1e9:.0f} GB of disk are free.")


def measured_speed(study: "Study", config: Path) -> "MachineSpeed":
    """Return how fast this machine is with the prepared models of a study: as stored, or measured now and stored."""
    from functools import partial

    from grads.runtime.libraries import limit_threads, settle_libraries

    # As in the workflow's jobs, which have one thread each.
    limit_threads(1)
    settle_libraries()
    from grads.cli.calibration import calibrate, count_requests
    from grads.graph.resources import micro_batch, planned_device
    from grads.graph.times import MachineSpeed
    from grads.study.paths import warm_cell

    device = planned_device()
    models = {}
    for model in study.used_models:
        if model in study.models:
            count_requests(study, model)
        limits = [partial(micro_batch, study, warm_cell(model, domain, 0), 1, device)() for domain in study.domains]
        models[model] = calibrate(study, model, min(limits))
    return MachineSpeed(_start_seconds(config), models)


def _start_seconds(config: Path) -> float:
    """Return the seconds until a job begins its work: until its process knows Snakemake, the study and the job."""
    from grads.runtime.preload import can_preload

    command = [sys.executable, "-c", STARTED if can_preload() else LOADING + STARTED, str(config)]
    seconds = []
    # The first one also fills the caches of the disk.
    for _ in range(2):
        started = time.monotonic()
        subprocess.run(command, check=True)
        seconds.append(time.monotonic() - started)
    return min(seconds)


def _snakemake(config: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", *snakemake_options(), "--configfile", str(config), *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise GradsError(_said(result.stdout))
    return result.stdout


def _said(printed: str) -> str:
    """Return the one sentence of what a failed Snakemake printed: a job's error, or what it says of the workflow."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    for number, line in enumerate(lines[:-1]):
        if line.startswith("WorkflowError"):
            return lines[number + 1]
    return f"snakemake failed, saying: {' | '.join(lines[-12:])}"[:1500]


def prepare(study: "Study", config: Path) -> None:
    """Have data, models and token counts made, which all else follows from, as this config asks for them."""
    from grads.runtime.progress import say
    from grads.study.paths import Paths

    paths = Paths(study.study)
    wanted = [paths.store(model, domain, "tokens") for model in study.used_models for domain in study.domains]
    wanted.append(paths.general("text.jsonl"))
    say("plan: preparing data and models, where they are not there or not this config's")
    # Snakemake knows which are out of date.
    _snakemake(config, "--", *map(str, wanted))


def _workers() -> int:
    """Return how many jobs run side by side here: one a device, or one a core where there is none."""
    from grads.runtime.locks import local_devices

    return local_devices() or os.cpu_count() or 1
