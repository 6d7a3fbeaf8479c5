"""What each job of a study needs of a machine: memory, a device, minutes and disk, by its model, its data and the try.

Nothing is measured: sizes are those of `grads.models.size`, memory is the arithmetic of `grads.models.footprint`, time
that of `grads.models.speed`. What data is there counts; before it is prepared, the config's limits do. Where nothing is
known of a model yet, as of one of the hub that is not fetched, a job asks for UNKNOWN_MODEL; Snakemake asks once more
when the job can start.

A job that failed asks for half more memory with each try, half a micro-batch or token budget, and as much time again.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from grads.config.ratios import AUTO
from grads.config.study import Study
from grads.config.training import Training
from grads.graph.needs import measures
from grads.models.footprint import (
    Computed,
    Footprint,
    generation_footprint,
    largest_micro_batch,
    probe_footprint,
    refusal,
    scoring_footprint,
    trained_parameters,
    training_footprint,
)
from grads.models.hardware import CPU, SOME_GPU, Device, find_device
from grads.models.shape import PREFIXES
from grads.models.size import ModelSize, is_linked, model_size, read_size
from grads.models.speed import Pass, answer_seconds, pass_seconds, start_seconds
from grads.runtime.errors import GradsError
from grads.runtime.locks import local_devices
from grads.selection.needs import arm_method, arm_needs, scorer_of
from grads.selection.registry import parse_parameters
from grads.signals.columns import needs_gradients, needs_losses
from grads.signals.measures.registry import mean_signals
from grads.signals.names import FEATURES, SENTENCES
from grads.study.grid import Cell, cells, cross_domains
from grads.study.paths import (
    ANCHOR,
    BY_SEED,
    DURING,
    TOKENS,
    TRAIN,
    TRAJECTORY,
    VALIDATION,
    WARM,
    Paths,
    store_point,
    warm_cell,
)
from grads.training.needs import arm_strategy, strategy_needs

MB = 10**6
TEST = "test"
# Of a signal store (`grads.signals.store`): what was measured.
META = "meta.json"
VARIABLE = "GRADS_DEVICE"
"""Names the device that jobs are planned for, where that is another than this machine's."""
# Records of a pass at most, if they fit.
MICRO_BATCH = 8
# Memory of a process beside its tensors: Python with torch, transformers and PEFT; and with a GPU its driver's host
# side, libraries of kernels and pinned buffers.
PROCESS = {"cpu": 900 * MB, "cuda": 4000 * MB}
# What an allocator holds beyond what is in use, and what arithmetic leaves out.
SLACK = 1.1
# A process with pandas and numpy, and one that tokenises or reads records.
TABLES = 1000 * MB
RECORDS = 1500 * MB
RECORD = 20_000
"""Bytes of a record as Python holds it, with its tokens."""
UNKNOWN_MODEL = 8000 * MB
UNKNOWN_RECORDS = 10_000
# Of `max_length`, where nobody has counted the tokens.
TYPICAL = 0.5
# Of the records that a ratio `auto` keeps: what lies within one standard deviation, were it a normal distribution.
AUTO_SHARE = 0.68
# Vectors of a sentence encoder.
SENTENCE_WIDTH = 1024
# Most memory that a method takes which reads vectors part by part.
PART = 3000 * MB
# Tokens of a benchmark's longest item, of one in a file of one's own, and of each example in front of it.
ITEM = 1536
OWN_ITEM = 512
SHOT = 128
CHOICES = 4
ITEMS = 1000
ANSWER = 256
# Times the seconds that are counted, and minutes on top: what waits in a queue is worth some room.
PATIENCE = 3.0
SHORTEST = 20
SMALL = 60


@dataclass(frozen=True)
class Resources:
    """What a job asks for; a workflow's names for `memory_mb` and `minutes` are `mem_mb` and `runtime`.

    Attributes:
        memory_mb: of the host, in MB.
        gpu_memory_mb: of the GPU, in MB; 0 without one.
        minutes: until it is done, with room.
        seconds: that it is expected to take; 0 where that is not counted.
        disk_mb: what it writes, checkpoints included, in MB.
        threads: of the processor.
        gpus: devices.
    """

    memory_mb: int
    gpu_memory_mb: int = 0
    minutes: int = SMALL
    seconds: float = 0.0
    disk_mb: int = 100
    threads: int = 1
    gpus: int = 0


@dataclass(frozen=True)
class Load:
    """Data that a job goes through.

    Attributes:
        records: how many.
        tokens: of all of them together, for one model.
        longest: tokens of the longest.
        counted: whether these are its own numbers, and not the config's limits.
    """

    records: int
    tokens: int
    longest: int
    counted: bool = False

    def share(self, part: float) -> "Load":
        """Return a part of the records."""
        return replace(self, records=math.ceil(part * self.records), tokens=math.ceil(part * self.tokens))

    @property
    def mean(self) -> int:
        """Tokens of a record."""
        return math.ceil(self.tokens / max(1, self.records))


def planned_device() -> Device:
    """Return the device that jobs are planned for: what GRADS_DEVICE names, or a GPU if this machine has some.

    Raises:
        GradsError: the variable names no device that is known.
    """
    if name := os.environ.get(VARIABLE):
        try:
            return find_device(name)
        except GradsError as error:
            raise error.after(VARIABLE) from None
    return SOME_GPU if local_devices() else CPU


def check_fits(study: Study, device: Device) -> None:
    """Refuse models that cannot be trained on a device, not even one record at a time.

    Raises:
        GradsError: all that is found, each with the arithmetic and what to change.
    """
    computed = precision(study.training.precision, device)
    known = {model: size_of(study, model) for model in study.models}
    refused = [refusal(f"'{name}'", size, study.training, computed, device) for name, size in known.items() if size]
    if found := [sentence for sentence in refused if sentence]:
        raise GradsError(*found)


def micro_batch(study: Study, cell: Cell, attempt: int = 1, device: Device = CPU) -> int:
    """Return the most records of one pass of a run: MICRO_BATCH or as many as fit, halved with each further try.

    Raises:
        GradsError: not even one fits.
    """
    training = cell_training(study, cell)
    most = min(MICRO_BATCH, training.global_batch)
    size = size_of(study, cell.model)
    if size is not None:
        computed = precision(training.precision, device)
        longest = load_of(study, cell.model, cell.domain).longest
        fitting = largest_micro_batch(size, training, computed, device, most, length=longest)
        if fitting is None:
            sentence = refusal(f"'{cell.model}'", size, training, computed, device, length=longest)
            raise GradsError(sentence or f"'{cell.model}' does not fit on {device.name}")
        most = fitting
    return max(1, most // 2 ** (attempt - 1))


def token_budget(study: Study, attempt: int = 1) -> int:
    """Return the most tokens of a probe's batch, halved with each further try."""
    return max(1, study.probe.token_budget // 2 ** (attempt - 1))


def prepare_data(study: Study, attempt: int = 1) -> Resources:
    """Return what splitting the domains' records takes, or counting their overlap, or drawing general items.

    All records are in memory, with the words that overlaps are found by.
    """
    records = len(study.domains) * (_records(study, next(iter(study.domains)), TRAIN) + study.splits.test)
    return _small(2 * RECORDS + 2 * records * RECORD, attempt)


def prepare_model(study: Study, model: str, attempt: int = 1) -> Resources:
    """Return what preparing a model takes.

    Weights of a folder are linked and looked at one tensor at a time; those of a GGUF, or made by code, are held in
    float32, and once more as they are written.
    """
    size = size_of(study, model)
    if size is None:
        return _job(UNKNOWN_MODEL, attempt=attempt, disk=UNKNOWN_MODEL)
    linked = is_linked(study.every_model[model])
    largest = max((math.prod(matrix.shape) for matrix in size.matrices), default=0)
    held = 3 * 4 * largest if linked else 2 * size.stored_bytes
    return _job(SLACK * (PROCESS["cpu"] + held), attempt=attempt, disk=size.stored_bytes)


def prepare_encoder(study: Study, encoder: str, attempt: int = 1) -> Resources:
    """Return what preparing a sentence encoder takes."""
    return _job(SLACK * (PROCESS["cpu"] + 2 * _encoder_bytes(study, encoder)), attempt=attempt)


def probe_tokens(study: Study, model: str, domain: str, attempt: int = 1) -> Resources:
    """Return what counting the tokens of a domain's records takes: a tokenizer, and all records in memory."""
    records = _records(study, domain, TRAIN) + study.splits.validation + study.splits.test
    return _small(RECORDS + 2 * records * RECORD, attempt)


def probe(study: Study, model: str, domain: str, store: str, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what measuring a signal store takes, or one shard of it where the study asks for some.

    Args:
        study: the study.
        model: key of a model or scorer.
        domain: key of a domain.
        store: such as `base`, `warm` or `warm-validation`.
        attempt: number of the try, from 1.
        device: where it will run.
    """
    _point, _encoder, records = store_point(store)
    held = frozenset(measures(study, store, model))
    size = size_of(study, model)
    load = load_of(study, model, domain, records).share(1 / study.probe.shards)
    if size is None:
        return _unknown(device, attempt)
    computed = precision(study.probe.precision, device)
    budget = study.probe.token_budget
    gradients = needs_gradients(held)
    tokens = min(max(budget, load.longest), max(load.longest, load.tokens))
    needed = probe_footprint(
        size,
        study.training,
        computed,
        tokens,
        gradients=gradients,
        losses=needs_losses(held),
        dense=bool(FEATURES & held) and study.probe.features.projection == "dense",
        kind=device.kind,
    )
    kind: Pass = "probe" if gradients else "forward"
    seconds = pass_seconds(size, load.tokens, kind, device, budget, computed=computed)
    disk = 2 * load.records * sum(vector_widths(study, size, held)) + 200 * load.records
    return _on_device(size, needed, device, seconds, attempt, records=load.records, disk=disk, computed=computed)


def probe_encoder(
    study: Study, encoder: str, model: str, domain: str, attempt: int = 1, device: Device = CPU
) -> Resources:
    """Return what embedding a domain's records by a sentence encoder takes."""
    load = load_of(study, model, domain)
    weights = 2 * _encoder_bytes(study, encoder)
    memory = SLACK * (PROCESS[device.kind] + weights) + load.records * RECORD
    gpu = 0 if device.kind == "cpu" else 2 * weights
    return _job(memory, gpu=gpu, gpus=int(device.kind == "cuda"), minutes=240, attempt=attempt)


def join_shards(study: Study, model: str, domain: str, store: str, attempt: int = 1) -> Resources:
    """Return what joining the shards of a store takes: one of them in memory."""
    load = load_of(study, model, domain, store_point(store)[2])
    size = size_of(study, model)
    widths = sum(vector_widths(study, size, measures(study, store, model))) if size else 0
    written = load.records * (2 * widths + 500)
    return _small(TABLES + 2 * written // study.probe.shards, attempt, disk=written)


def select(study: Study, cell: Cell, attempt: int = 1) -> Resources:
    """Return what selecting takes: N rows of signals and texts, and N x d vectors in float32, with one copy.

    A method that reads its vectors part by part holds no more than PART of them.
    """
    method = arm_method(study, cell.arm)
    needs = arm_needs(study, cell.arm)
    memory = TABLES + 2 * load_of(study, cell.model, cell.domain).records * (2000 + RECORD * bool(needs.texts))
    vectors = 0
    for store, held in needs.stores.items():
        size = size_of(study, scorer_of(study, cell.arm, store) or cell.model)
        if size is not None:
            records = load_of(study, cell.model, cell.domain, store_point(store)[2]).records
            vectors += 2 * 4 * records * sum(vector_widths(study, size, held))
    in_parts = method.reads_in_parts(parse_parameters(method, study.arms[cell.arm].parameters))
    return _small(memory + (min(vectors, PART) if in_parts else vectors), attempt)


def train(study: Study, cell: Cell, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what a training run takes.

    Args:
        study: the study.
        cell: of an arm, or the run that precedes all arms (`warm`), is watched (`during`) or gives losses
            (`trajectory`); see `grads.study.paths.warm_cell`.
        attempt: number of the try, from 1.
        device: where it will run.
    """
    training = cell_training(study, cell)
    size = size_of(study, cell.model)
    if size is None:
        return _unknown(device, attempt)
    load = load_of(study, cell.model, cell.domain)
    computed = precision(training.precision, device)
    batch = micro_batch(study, cell, 1, device)
    # A processor's job whose records are not counted yet asks for the usual: another try asks for more.
    usual = device.kind == "cpu" and not load.counted
    length = math.ceil(TYPICAL * load.longest) if usual else load.longest
    needed = training_footprint(size, training, computed, batch, length, kind=device.kind)
    visits = load.share(trained_share(study, cell))
    trained = trained_parameters(size, training)
    # Rows are padded to the longest of their micro-batch: about half of what a pass sees is records.
    padded = 2 * visits.tokens
    seconds = pass_seconds(size, padded, "train", device, batch * load.mean, computed=computed, trained=trained)
    if cell.arm == DURING:
        seconds += pass_seconds(size, padded, "probe", device, study.probe.token_budget, computed=computed)
    if cell.arm == TRAJECTORY:
        losses = study.probe.trajectory.checkpoints * load.tokens
        seconds += pass_seconds(size, losses, "forward", device, study.probe.token_budget, computed=computed)
    # The weights, and two checkpoints of weights and moments.
    disk = trained * (4 + 2 * 12)
    return _on_device(size, needed, device, seconds, attempt, records=load.records, disk=disk, computed=computed)


def evaluate(
    study: Study, model: str, domains: Iterable[str], attempt: int = 1, device: Device = CPU, general: bool = True
) -> Resources:
    """Return what evaluating one trained model takes, or the untuned one.

    Args:
        study: the study.
        model: key of the model.
        domains: whose test records it answers.
        attempt: number of the try, from 1.
        device: where it will run.
        general: whether general benchmarks and drift are measured, too.
    """
    size = size_of(study, model)
    if size is None:
        return _unknown(device, attempt)
    evaluation = study.evaluation
    limit = study.generation.max_new_tokens
    computed = precision(evaluation.precision, device)
    loads = [load_of(study, model, domain, TEST) for domain in domains]
    prompt = max((load.mean for load in loads), default=1)
    rows = max(1, evaluation.token_budget // (prompt + limit))
    tokens = max(evaluation.token_budget, max((load.longest for load in loads), default=0) + limit)
    footprints = [generation_footprint(size, study.training, computed, tokens, rows)]
    answers = sum(load.records for load in loads)
    seconds = answer_seconds(size, answers, limit, prompt, rows, device, computed=computed)
    if general:
        length = longest_item(study, size)
        footprints.append(scoring_footprint(size, study.training, computed, evaluation.task_batch, length))
        seconds += _task_seconds(study, size, device, computed)
    needed = max(footprints, key=lambda one: one.total)
    records = answers + sum(task.sample or ITEMS for task in study.general.tasks.values())
    return _on_device(size, needed, device, seconds, attempt, records=records, disk=200 * MB, computed=computed)


def evaluate_cell(study: Study, cell: Cell, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what evaluating a cell on its own domain and on the general benchmarks takes."""
    return evaluate(study, cell.model, [cell.domain], attempt, device)


def evaluate_cross(study: Study, cell: Cell, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what evaluating a cell on the other domains takes."""
    return evaluate(study, cell.model, cross_domains(study, cell.domain), attempt, device, general=False)


def evaluate_untuned(study: Study, model: str, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what evaluating the untuned model on all domains takes."""
    return evaluate(study, model, study.domains, attempt, device)


def metrics(study: Study, attempt: int = 1) -> Resources:
    """Return what measuring a cell's answers takes."""
    return _small(2 * TABLES + 2 * study.splits.test * RECORD, attempt)


def report(study: Study, attempt: int = 1) -> Resources:
    """Return what the long table, or what is made from it, takes: a row an item of every cell, resampled in memory."""
    items = study.splits.test + sum(task.sample or ITEMS for task in study.general.tasks.values())
    return _small(2 * TABLES + 1000 * len(cells(study)) * items, attempt)


# What is known of models and data.


def size_of(study: Study, model: str) -> ModelSize | None:
    """Return the size of a model: as it is prepared, or as its source says; None where that is not there yet."""
    prepared = read_size(Paths(study.study).model(model))
    return prepared or model_size(study.every_model[model])


def load_of(study: Study, model: str, domain: str, split: str = TRAIN) -> Load:
    """Return a split's records of a domain: as they were counted, if they were, or by the config's limits."""
    limit = study.training.max_length
    size = size_of(study, model)
    limit = min(limit, size.positions) if size and size.positions else limit
    meta = _read(Paths(study.study).store(model, domain, TOKENS) / META)
    counted, tokens, longest = (_number(meta, name) for name in ("records", "tokens", "longest"))
    if counted is None or tokens is None or meta.get("max_length") != study.training.max_length:
        records = _records(study, domain, split)
        return Load(records, math.ceil(TYPICAL * limit * records), limit)
    train = Load(counted, tokens, longest or limit, counted=longest is not None)
    if split == TRAIN:
        return train
    records = _records(study, domain, split)
    # What is not counted is as long as training records are, and may be longer.
    return Load(records, records * train.mean, limit)


def cell_training(study: Study, cell: Cell) -> Training:
    """Return how a cell is trained: as its arm's strategy departs from the study's settings, and for as many epochs.

    Runs that are no arm's have epochs of their own.
    """
    if cell.arm in study.arms:
        strategy, parameters = arm_strategy(study, cell.arm)
        return strategy.settings(study.training, parameters)
    epochs = study.probe.trajectory.epochs if cell.arm == TRAJECTORY else 1
    return study.training.model_copy(update={"epochs": epochs})


def trained_share(study: Study, cell: Cell) -> float:
    """Return how many times a run visits its domain's training records."""
    epochs = cell_training(study, cell).epochs
    # What is matched to the run on all records is as long as that.
    if cell.arm not in study.arms or study.arms[cell.arm].match != "epochs":
        return float(epochs)
    share = AUTO_SHARE if cell.ratio == AUTO else float(cell.ratio)
    return epochs * share * (1 + strategy_needs(study, cell.arm).replay)


def vector_widths(study: Study, size: ModelSize, held: Iterable[str]) -> list[int]:
    """Return the numbers of each vector that a store holds of a record."""
    widths = []
    for name in held:
        if mean_signals([name]):
            widths.append(size.hidden)
        elif name in FEATURES:
            widths.append(feature_width(study, size))
        elif name == SENTENCES:
            widths.append(SENTENCE_WIDTH)
        elif name == "losses" and "response_nll" not in held:
            widths.append(study.probe.trajectory.checkpoints)
    return widths


def feature_width(study: Study, size: ModelSize) -> int:
    """Return the numbers of a record's projected gradients, of an adapter's A and B.

    `kronecker`: of each module min(rank, s) x min(inputs, s) + min(outputs, s) x min(rank, s), s being the size; s x s
    where they are pooled.
    """
    features = study.probe.features
    adapter = study.training.adapter
    if features.projection == "dense":
        return features.dimension
    side = features.size
    if features.pooled:
        return side**2
    chosen = [matrix for matrix in size.adapted(adapter.targets) if _matches(matrix.module, features.modules)]
    return sum(min(adapter.rank, side) * min(width, side) for matrix in chosen for width in matrix.shape)


def longest_item(study: Study, size: ModelSize) -> int:
    """Return the tokens of the longest item of the general benchmarks, examples in front of it included: a guess."""
    lengths = [OWN_ITEM if task.yaml else ITEM + SHOT * (task.few_shot or 0) for task in study.general.tasks.values()]
    longest = max([study.general.text.max_tokens, *lengths])
    return min(longest, size.positions) if size.positions else longest


def _matches(module: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(prefix + module, pattern) for prefix in PREFIXES for pattern in patterns)


def _task_seconds(study: Study, size: ModelSize, device: Device, computed: Computed) -> float:
    """Return what the general benchmarks take: choices are passes, free answers are generated."""
    texts = study.general.text.sample * study.general.text.max_tokens
    seconds = pass_seconds(size, 2 * texts, "forward", device, study.evaluation.token_budget, computed=computed)
    rows = study.evaluation.task_batch
    for task in study.general.tasks.values():
        items = task.sample or ITEMS
        length = (OWN_ITEM if task.yaml else ITEM) // 4 + SHOT * (task.few_shot or 0)
        if task.metric.startswith("acc"):
            tokens = CHOICES * items * length
            seconds += pass_seconds(size, tokens, "forward", device, rows * length, computed=computed)
        else:
            seconds += answer_seconds(size, items, ANSWER, length, rows, device, computed=computed)
    return seconds


def _records(study: Study, domain: str, split: str) -> int:
    """Return how many records a split has, or how many it may have."""
    if split == ANCHOR:
        return study.general.instructions.anchor if study.general.instructions else 0
    counts = _read(Paths(study.study).root / "data" / domain / "counts.json").get("splits")
    limits = {TRAIN: study.splits.train, VALIDATION: study.splits.validation, TEST: study.splits.test}
    counted = _number(counts, split) if isinstance(counts, dict) else None
    known = [number for number in (counted, limits[split]) if number is not None]
    return min(known, default=UNKNOWN_RECORDS)


def _read(path: Path) -> dict[str, object]:
    """Return a JSON object; nothing where there is none: what is wrong with a file is said by who reads it for good."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(values: Mapping[str, object], name: str) -> int | None:
    found = values.get(name)
    return found if isinstance(found, int) else None


def _encoder_bytes(study: Study, encoder: str) -> int:
    """Return the bytes of a prepared encoder's weights; those of a large one where it is not there yet."""
    files = list(Paths(study.study).encoder(encoder).glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else 1500 * MB


# From bytes and seconds to what is asked for.


def precision(asked: str, device: Device) -> Computed:
    """Return what is computed in: of `auto`, bf16 on a GPU and float32, the larger, on a processor."""
    if asked == "auto":
        return "bf16" if device.kind == "cuda" else "float32"
    return "bf16" if asked == "bf16" else "float32"


def _on_device(
    size: ModelSize,
    needed: Footprint,
    device: Device,
    seconds: float,
    attempt: int,
    *,
    records: int,
    disk: float,
    computed: Computed,
) -> Resources:
    """Return what a job asks for whose tensors are on a device.

    With a GPU the host holds its process and, as they are read, the weights as stored. Without, it holds all, and the
    weights as stored too where they are of another type.
    """
    seconds += start_seconds(size)
    minutes = SHORTEST + PATIENCE * seconds / 60
    host = PROCESS[device.kind] + records * RECORD
    if device.kind == "cuda":
        host += size.stored_bytes
        return _job(host, gpu=needed.total, gpus=1, minutes=minutes, seconds=seconds, disk=disk, attempt=attempt)
    stored = {"bf16": "BF16", "float32": "F32"}[computed]
    host += needed.total + (0 if size.dtype == stored else size.stored_bytes)
    return _job(SLACK * host, minutes=minutes, seconds=seconds, disk=disk, attempt=attempt)


def _unknown(device: Device, attempt: int) -> Resources:
    gpus = int(device.kind == "cuda")
    return _job(UNKNOWN_MODEL, gpu=gpus * UNKNOWN_MODEL, gpus=gpus, minutes=720, attempt=attempt)


def _small(memory: float, attempt: int, disk: float = 100 * MB) -> Resources:
    return _job(memory, attempt=attempt, disk=disk)


def _job(
    memory: float,
    *,
    attempt: int,
    gpu: float = 0,
    gpus: int = 0,
    minutes: float = SMALL,
    seconds: float = 0.0,
    disk: float = 100 * MB,
) -> Resources:
    """Return what a job asks for by its bytes and minutes, and the number of its try; rounded up."""
    grown = memory * (1 + 0.5 * (attempt - 1))
    return Resources(
        memory_mb=100 * math.ceil(grown / (100 * MB)),
        gpu_memory_mb=100 * math.ceil(gpu / (100 * MB)),
        minutes=10 * math.ceil(minutes * attempt / 10),
        seconds=seconds,
        disk_mb=math.ceil(disk / MB),
        threads=1,
        gpus=gpus,
    )


# What the workflow asks.


def resources_of(study: Study, rule: str, wildcards: Mapping[str, str], attempt: int, device: Device) -> Resources:
    """Return what a rule's job needs.

    Args:
        study: the study.
        rule: name of the rule.
        wildcards: what its wildcards stand for.
        attempt: number of the try, from 1.
        device: where jobs run that use one.

    Raises:
        GradsError: the job cannot fit on the device.
    """
    model = wildcards.get("model", "")
    domain = wildcards.get("domain", "")
    of_data = partial(prepare_data, study, attempt)
    of_report = partial(report, study, attempt)
    asked: dict[str, Callable[[], Resources]] = {
        **dict.fromkeys(("prepare_domains", "prepare_general", "prepare_instructions", "overlap"), of_data),
        **dict.fromkeys(("metrics", "metrics_cross"), partial(metrics, study, attempt)),
        "prepare_model": partial(prepare_model, study, model, attempt),
        "prepare_encoder": lambda: prepare_encoder(study, wildcards["encoder"], attempt),
        "probe_tokens": partial(probe_tokens, study, model, domain, attempt),
        "probe_encoder": lambda: probe_encoder(study, wildcards["encoder"], model, domain, attempt, device),
        "probe_shards": lambda: join_shards(study, model, domain, without_seed(wildcards["store"]), attempt),
        "evaluate_untuned": partial(evaluate_untuned, study, model, attempt, device),
        "evaluate_cross": lambda: evaluate_cross(study, _cell(wildcards), attempt, device),
        "evaluate": lambda: evaluate_cell(study, _cell(wildcards), attempt, device),
        "select": lambda: select(study, _cell(wildcards), attempt),
        "train": lambda: train(study, _cell(wildcards), attempt, device),
    }
    for point in ("base", WARM):
        store = point + wildcards.get("other", "")
        asked[f"probe_{point}"] = partial(probe, study, model, domain, store, attempt, device)
    for point in BY_SEED:
        asked[f"train_{point}"] = partial(_train_at, study, wildcards, point, attempt, device)
    return asked.get(rule, of_report)()


def _cell(wildcards: Mapping[str, str]) -> Cell:
    model = wildcards["model"]
    domain = wildcards["domain"]
    return Cell(model, domain, wildcards["arm"], wildcards["ratio"], int(wildcards["seed"]))


def _train_at(study: Study, wildcards: Mapping[str, str], point: str, attempt: int, device: Device) -> Resources:
    """Return what the training run of a point takes, which is no arm's."""
    cell = warm_cell(wildcards["model"], wildcards["domain"], int(wildcards["seed"]))
    return train(study, replace(cell, arm=point), attempt, device)


def without_seed(folder: str) -> str:
    """Return the name of a signal store from that of its folder, which has the seed of a training run in it."""
    point, dash, rest = folder.partition("-")
    if point not in BY_SEED:
        return folder
    _seed, dash, kind = rest.partition("-")
    return f"{point}{dash}{kind}"
