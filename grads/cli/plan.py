"""`grads plan`: what a study takes: cells, jobs, passes over the data, hours on this device, disk."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grads.cli.study import Config, checked_study, lengths
from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    from grads.cli.calibration import Calibration
    from grads.config.study import Study
    from grads.graph.resources import Resources
    from grads.models.hardware import Device

CHARACTERS_PER_TOKEN = 4
"""Of general benchmarks, whose items are not tokenised before they are evaluated."""


AUTO_SHARE = 0.68
"""Of the records that a ratio `auto` keeps: what lies within one standard deviation, were it a normal distribution."""


@dataclass(frozen=True)
class Work:
    """Amounts of work: tokens through each kind of pass, answers to generate, jobs that load a model."""

    forward: float = 0.0
    probe: float = 0.0
    train: float = 0.0
    answers: int = 0
    jobs: int = 0

    def __add__(self, other: "Work") -> "Work":
        """Return both amounts together."""
        return Work(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Work)))

    def seconds(self, speed: "Calibration") -> float:
        """Return the seconds that one worker takes."""
        tokens = self.forward * speed.forward + self.probe * speed.probe + self.train * speed.train
        return tokens + self.answers * speed.answer + self.jobs * speed.start


def selection_work(
    study: "Study", model: str, domain_tokens: int, validation_tokens: int = 0, anchor_tokens: int = 0
) -> Work:
    """Return what the signals of one model and domain take: the union of the needs of all arms that read it, each once.

    Tokens are those of the eligible training records, of the validation records and of the anchor.
    """
    from grads.graph.needs import model_stores
    from grads.study.paths import ANCHOR, BY_SEED, TRAIN, VALIDATION, store_point

    sizes = {TRAIN: domain_tokens, VALIDATION: validation_tokens, ANCHOR: anchor_tokens}
    points = {store: store_point(store) for store in model_stores(study, model)}
    work = Work()
    for store, (point, encoder, records) in points.items():
        tokens = sizes[records]
        if encoder is not None:
            # It is charged like the model itself, which is never smaller.
            work += Work(forward=tokens, jobs=1)
        elif point != "tokens":
            for _ in study.seeds if point in BY_SEED else [None]:
                work += _pass_work(study, model, store, tokens)
    warm = any(point == "warm" for point, *_ in points.values())
    trained = model in study.models
    epochs = int(warm or (trained and any(arm.start == "warm" for arm in study.arms.values())))
    for _ in study.seeds:
        work += Work(train=epochs * domain_tokens, jobs=epochs)
        work += Work(train=domain_tokens if "during" in points else 0)
    return work


def _pass_work(study: "Study", model: str, store: str, tokens: int) -> Work:
    """Return what one pass over the records of a store takes, with all that the arms ask of it."""
    from grads.graph.needs import measures
    from grads.signals.columns import needs_gradients
    from grads.study.paths import TRAJECTORY

    if store == TRAJECTORY:
        run = study.probe.trajectory
        return Work(forward=run.checkpoints * tokens, train=run.epochs * tokens, jobs=1)
    held = measures(study, store, model)
    # The response without its prompt is a forward pass of its own, over hardly more than the response.
    work = Work(forward=tokens) if "unconditional" in held else Work()
    kind = "probe" if needs_gradients(held) else "forward"
    return work + Work(**{kind: tokens}, jobs=study.probe.shards if store != "during" else 1)


def training_work(study: "Study", domain_tokens: int) -> Work:
    """Return what training the cells of one model and domain takes; a subset has its share of the tokens, general
    records that are replayed count like others, and what is matched counts like all records.
    """
    from grads.config.ratios import AUTO
    from grads.study.grid import arm_ratios
    from grads.training.needs import strategy_needs

    work = Work()
    runs = [(arm, ratio) for arm in study.arms for ratio in arm_ratios(study, arm) if ratio != "0"]
    for arm, ratio in runs:
        for _ in study.seeds:
            share = (AUTO_SHARE if ratio == AUTO else float(ratio)) * (1 + strategy_needs(study, arm).replay)
            share = share if study.arms[arm].match == "epochs" else 1.0
            work += Work(train=share * domain_tokens * study.training.epochs, jobs=1)
    return work


def evaluation_work(study: "Study", tests: int, general_tokens: int) -> Work:
    """Return what evaluating the trained cells of one model and domain takes."""
    from grads.study.grid import arm_ratios

    runs = sum(ratio != "0" for arm in study.arms for ratio in arm_ratios(study, arm)) * len(study.seeds)
    # Drift compares with the untuned model, whose states each job computes.
    return Work(forward=runs * general_tokens, answers=runs * tests, jobs=runs)


OnDevice = Annotated[
    str | None,
    typer.Option(help="Plan for a device by its data sheet, such as h100-80gb, without running anything here."),
]


def plan(config: Config, device: OnDevice = None) -> None:
    """Show what a study takes before it runs: cells, jobs, passes, hours on this device, disk.

    Prepares its data and models where they are not there or not this config's, and measures a few passes of each model
    once. With `--device` nothing is prepared or measured: hours and memory follow from the models' sizes, the config's
    limits and the device's numbers.

    \b
    Examples:
      grads plan mine.yaml
      grads plan mine.yaml --device h100-80gb
    """
    if device is not None:
        _print_for_device(config, device)
        return
    _print_for_here(config)


def _print_for_device(config: Path, name: str) -> None:
    """Print what the jobs of each rule take on a device.

    Raises:
        GradsError: there is no such device, or a model cannot be trained on it.
    """
    from grads.graph.resources import check_fits, size_of
    from grads.models.hardware import find_device
    from grads.runtime.progress import duration

    study = checked_study(config)
    device = find_device(name)
    check_fits(study, device)
    rows = device_rows(study, device)
    typer.echo(f"{study.study} on {device.name} ({device.source})")
    typer.echo(
        f"{'rule':20} {'jobs':>6} {'each at most':>14} {'together':>14} {'host GB':>8} {'GPU GB':>7} {'disk GB':>8}"
    )
    for row in rows:
        memory = f"{row.memory_mb / 1e3:8.1f} {row.gpu_memory_mb / 1e3:7.1f} {row.disk_mb / 1e3:8.1f}"
        longest = duration(row.longest) if row.longest else "-"
        together = duration(row.seconds) if row.seconds else "-"
        typer.echo(f"{row.rule:20} {row.jobs:6} {longest:>14} {together:>14} {memory}")
    seconds = sum(row.seconds for row in rows)
    total = duration(seconds) if seconds else "-"
    typer.echo(f"{'total':20} {sum(row.jobs for row in rows):6} {'':14} {total:>14} of one device")
    typer.echo("Jobs without a time take seconds to minutes on a processor. Records count by the config's limits.")
    if unknown := [model for model in study.used_models if size_of(study, model) is None]:
        typer.echo(
            f"Not counted: {', '.join(unknown)}. A model's size is known once it is fetched, which a run does "
            "first; until then its jobs ask for 8 GB"
        )


@dataclass(frozen=True)
class DeviceRow:
    """What the jobs of a rule take: seconds of the longest and of all, memory of the largest, disk of all."""

    rule: str
    jobs: int
    longest: float
    seconds: float
    memory_mb: int
    gpu_memory_mb: int
    disk_mb: int


def device_rows(study: "Study", device: "Device") -> "list[DeviceRow]":
    """Return what the jobs of each rule take on a device, in the order in which rules come first."""
    from grads.graph.resources import resources_of
    from grads.graph.study import StudyGraph

    asked: dict[str, list[Resources]] = {}
    graph = StudyGraph(study, reading=False)
    for rule, wildcards in graph.calls():
        if not rule.startswith(("fetch_", "prefetch_", "install_")):
            asked.setdefault(rule, []).append(resources_of(study, rule, wildcards, 1, device))
    return [
        DeviceRow(
            rule,
            len(needed),
            max(one.seconds for one in needed),
            sum(one.seconds for one in needed),
            max(one.memory_mb for one in needed),
            max(one.gpu_memory_mb for one in needed),
            sum(one.disk_mb for one in needed),
        )
        for rule, needed in asked.items()
    ]


def _print_for_here(config: Path) -> None:
    """Print what a study takes on this machine, by a few passes of each model."""
    from grads.runtime.progress import duration
    from grads.study.grid import cells

    study = checked_study(config)
    if not Path("Snakefile").is_file():
        raise GradsError("there is no Snakefile in this folder: run this in the folder of grads")
    _prepare(study, config)
    jobs = _remaining_jobs(config)
    parts, disk = _estimates(study)
    grid = cells(study)
    typer.echo(f"{study.study}: {len(grid)} cells, of which {sum(c.trained for c in grid)} are trained")
    typer.echo(f"{'jobs':12} {jobs} to run")
    for line in lengths(study):
        typer.echo(f"{'lengths':12} {line}")
    for name, (work, seconds) in parts.items():
        amounts = f"{work.forward:,.0f} forward, {work.probe:,.0f} probe, {work.train:,.0f} training tokens"
        typer.echo(f"{name:12} {duration(seconds)}: {amounts}, {work.answers:,} answers, {work.jobs} jobs")
    total = sum(seconds for _work, seconds in parts.values())
    workers = _workers()
    typer.echo(f"{'total':12} {duration(total)} of one worker; {duration(total / workers)} with {workers} side by side")
    free = shutil.disk_usage(Path()).free
    typer.echo(f"{'disk':12} about {disk / 1e9:.2f} GB for adapters, signals and models; {free / 1e9:.0f} GB are free")
    typer.echo("The whole study is counted, also what is done; expect a third more or less.")


def _snakemake(config: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", str(config)]
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


def _prepare(study: "Study", config: Path) -> None:
    """Have data, models and token counts made, which all else follows from, as this config asks for them."""
    from grads.runtime.progress import say
    from grads.study.paths import Paths

    paths = Paths(study.study)
    wanted = [paths.store(model, domain, "tokens") for model in study.used_models for domain in study.domains]
    wanted.append(paths.general("text.jsonl"))
    say("plan: preparing data and models, where they are not there or not this config's")
    # Snakemake knows which are out of date.
    _snakemake(config, *map(str, wanted))


def _remaining_jobs(config: Path) -> int:
    lines = _snakemake(config, "--dry-run").splitlines()
    totals = [line.split()[1] for line in lines if line.startswith("total ")]
    return int(totals[-1]) if totals else 0


def _estimates(study: "Study") -> tuple[dict[str, tuple[Work, float]], float]:
    """Return the work and seconds of each part of the study, and the bytes that it will leave."""
    from grads.runtime.libraries import settle_libraries

    settle_libraries()
    import torch

    from grads.cli.calibration import calibrate
    from grads.study.grid import cells
    from grads.study.paths import Paths

    # As in the workflow's jobs.
    torch.set_num_threads(1)
    parts = {name: (Work(), 0.0) for name in ("selection", "training", "evaluation")}
    paths = Paths(study.study)
    general = _general_tokens(study)
    disk = 0.0
    for model in study.used_models:
        speed = calibrate(study, model, next(iter(study.domains)))
        disk += sum(file.stat().st_size for file in paths.model(model).iterdir())
        disk += speed.adapter_bytes * sum(cell.model == model and cell.trained for cell in cells(study))
        for name, work in _works(study, model, general).items():
            parts[name] = (parts[name][0] + work, parts[name][1] + work.seconds(speed))
    return parts, disk


def _works(study: "Study", model: str, general: int) -> dict[str, Work]:
    """Return the work of each part of the study that one model has to do."""
    from grads.study.grid import cross_domains
    from grads.study.paths import Paths

    paths = Paths(study.study)
    selection = Work()
    training = Work()
    evaluation = Work()
    anchor = study.general.instructions.anchor if study.general.instructions else 0
    tests = {domain: _rows(paths.records(domain, "test")) for domain in study.domains}
    for domain in study.domains:
        tokens = _tokens(study, model, domain)
        # What is not tokenised yet is taken to be as long as the training records are.
        length = tokens / max(1, _rows(paths.records(domain, "train")))
        others = (_rows(paths.records(domain, "validation")), anchor)
        selection += selection_work(study, model, tokens, *(round(rows * length) for rows in others))
        if model in study.models:
            training += training_work(study, tokens)
            answers = tests[domain] + sum(tests[other] for other in cross_domains(study, domain))
            evaluation += evaluation_work(study, answers, general)
    if model in study.models and "untuned" in study.arms:
        evaluation += Work(forward=general, answers=sum(tests.values()), jobs=1)
    return {"selection": selection, "training": training, "evaluation": evaluation}


def _rows(path: Path) -> int:
    from grads.data.frames import frame_rows

    return frame_rows(path)


def _tokens(study: "Study", model: str, domain: str) -> int:
    """Return the tokens of all eligible training records of a domain."""
    from grads.runtime.files import reading
    from grads.signals.store import META, read_meta
    from grads.study.paths import Paths

    store = Paths(study.study).store(model, domain, "tokens")
    meta = read_meta(store)
    with reading(store / META):
        return int(meta["tokens"])


def _general_tokens(study: "Study") -> int:
    """Return about how many tokens the general part reads: each choice with its question, and the texts."""
    from grads.data.benchmark_items import item_texts
    from grads.runtime.files import read_jsonl, reading
    from grads.study.paths import Paths

    tokens = study.general.text.sample * study.general.text.max_tokens
    for task in study.general.tasks:
        path = Paths(study.study).general(f"{task}.jsonl")
        for row in read_jsonl(path):
            with reading(path):
                choices = row.get("choices", [""])
                asked = len("".join(item_texts({key: value for key, value in row.items() if key != "choices"})))
                tokens += sum(asked + len(choice) for choice in choices) // CHARACTERS_PER_TOKEN
    return tokens


def _workers() -> int:
    """Return how many jobs run side by side here: one a device, or one a core where there is none."""
    from grads.runtime.locks import local_devices

    return local_devices() or os.cpu_count() or 1
