"""What each job of a study needs of a machine: memory, a device, minutes and disk, by its model, its data and the try.

Nothing is measured: what jobs do is counted by `grads.graph.work`, sizes are those of `grads.models.size`, memory is
the arithmetic of `grads.models.footprint`, time that of `grads.models.speed`. Where nothing is known of a model yet, as
of one of the hub that is neither fetched nor known here by its published shape, a job asks for UNKNOWN_MODEL; Snakemake
asks once more when the job can start.

A job that failed asks for half more memory with each try, half a micro-batch or token budget, and as much time again.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from grads.config.evaluation import pass_tokens
from grads.config.study import Study
from grads.config.training import Training
from grads.graph.batching import answer_rows
from grads.graph.known import (
    ITEMS,
    TEST,
    base_read,
    cell_training,
    is_scaled,
    load_of,
    longest_item,
    size_of,
    split_records,
    vector_widths,
)
from grads.graph.needs import measures
from grads.graph.times import DeviceSpeed
from grads.graph.work import Work, cell_of, embedded_records, evaluation_work, probe_work, teaching_work, training_work
from grads.models.footprint import (
    Computed,
    Footprint,
    generation_footprint,
    largest_micro_batch,
    precision,
    probe_footprint,
    refusal,
    scaling_footprint,
    scoring_footprint,
    trained_parameters,
    training_footprint,
)
from grads.models.hardware import CPU, GB, SOME_GPU, Device, find_device
from grads.models.size import ModelSize, is_linked
from grads.runtime.errors import GradsError
from grads.runtime.locks import local_devices
from grads.selection.needs import arm_method, arm_needs, scorer_of
from grads.selection.registry import parse_parameters
from grads.signals.columns import needs_gradients, needs_losses
from grads.signals.names import FEATURES
from grads.study.grid import Cell, arm_ratios, cells, cross_domains
from grads.study.paths import BY_SEED, TRAIN, WARM, WARMUP, Paths, store_point, warm_cell

MB = 10**6
VARIABLE = "GRADS_DEVICE"
"""Names the device that jobs are planned for, where that is another than this machine's."""
# Records of a pass at most, if they fit.
MICRO_BATCH = 8
# Positions whose logits the packed engine of evaluation holds at a time.
POSITIONS = 512
# Memory of a process next to its tensors: Python with torch, transformers and PEFT; and with a GPU its driver's host
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
# Of the longest record, where the tokens are not counted.
TYPICAL = 0.5
# Most memory that a method takes which reads vectors part by part.
PART = 3000 * MB
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
        threads: of the processor.
        gpus: devices.
    """

    memory_mb: int
    gpu_memory_mb: int = 0
    minutes: int = SMALL
    threads: int = 1
    gpus: int = 0


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
    """Refuse models that cannot be trained or evaluated on a device, not even one record at a time.

    Raises:
        GradsError: all that is found, each with the arithmetic and what to change.
    """
    refused: list[str | None] = []
    for name, size in ((model, size_of(study, model)) for model in study.models):
        if size is not None:
            refused.append(_training_refusal(study, name, size, device))
            refused.append(_evaluation_refusal(study, name, size, device))
    if found := [sentence for sentence in refused if sentence]:
        raise GradsError(*found)


def _training_refusal(study: Study, model: str, size: ModelSize, device: Device) -> str | None:
    """Return the sentence for training that does not fit on a device; the study's own, or else the first arm's."""
    computed = precision(study.training.precision, device)
    refused = refusal(f"'{model}'", size, study.training, computed, device)
    for arm in study.arms:
        cell = Cell(model, next(iter(study.domains)), arm, "1", 0)
        if refused is None and arm_ratios(study, arm) != ["0"] and not is_scaled(study, cell):
            training = cell_training(study, cell)
            base = base_read(study, cell)
            refused = refusal(f"'{model}' in arm '{arm}'", size, training, computed, device, base=base)
    return refused


def _evaluation_refusal(study: Study, model: str, size: ModelSize, device: Device) -> str | None:
    """Return the sentence for an evaluation that does not fit on a device one answer at a time; None where it does."""
    computed = precision(study.evaluation.precision, device)
    loads = [load_of(study, model, domain, TEST) for domain in study.domains]
    longest = max(load.longest for load in loads) + study.generation.max_new_tokens
    needed = generation_footprint(size, study.training, computed, longest, 1)
    if device.usable is None or needed.total <= device.usable:
        return None
    ways = "train an adapter, or use" if study.training.weights == "full" else "use"
    return (
        f"evaluating '{model}' takes {needed}, one answer at a time with its prompt, {longest} tokens, and "
        f"{device.name} has {device.usable / GB:.1f} GB for them: {ways} a smaller model or a device with more memory"
    )


def micro_batch(study: Study, cell: Cell, attempt: int = 1, device: Device = CPU) -> int:
    """Return the most records of one pass of a run: MICRO_BATCH or as many as fit, halved with each further try.

    Raises:
        GradsError: not even one fits.
    """
    training = cell_training(study, cell)
    most = min(MICRO_BATCH, training.global_batch)
    size = size_of(study, cell.model)
    if size is not None and not is_scaled(study, cell):
        computed = precision(training.precision, device)
        longest = load_of(study, cell.model, cell.domain).longest
        base = base_read(study, cell)
        fitting = largest_micro_batch(size, training, computed, device, most, length=longest, base=base)
        if fitting is None:
            sentence = refusal(f"'{cell.model}'", size, training, computed, device, length=longest, base=base)
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
    records = sum(split_records(study, domain) for domain in study.domains)
    return _small(2 * RECORDS + 2 * records * RECORD, attempt)


def prepare_model(study: Study, model: str, attempt: int = 1) -> Resources:
    """Return what preparing a model takes.

    Weights of a folder are linked and looked at one tensor at a time; those of a GGUF, or made by code, are held in
    float32, and once more as they are written.
    """
    size = size_of(study, model)
    if size is None:
        return _job(UNKNOWN_MODEL, attempt=attempt)
    linked = is_linked(study.every_model[model])
    largest = max((math.prod(matrix.shape) for matrix in size.matrices), default=0)
    held = 3 * 4 * largest if linked else 2 * size.stored_bytes
    return _job(SLACK * (PROCESS["cpu"] + held), attempt=attempt)


def teach_model(study: Study, model: str, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what teaching a model its skill takes: preparing it, then training all of its weights."""
    size = size_of(study, model)
    if size is None:
        return _unknown(device, attempt)
    training = study.skills[model].training(study.training)
    batch = teaching_batch(study, model, 1, device)
    computed = precision(training.precision, device)
    needed = training_footprint(size, training, computed, batch, training.max_length, kind=device.kind)
    found = _on_device(study, size, needed, device, teaching_work(study, model, batch), attempt)
    return replace(found, memory_mb=max(found.memory_mb, prepare_model(study, model, attempt).memory_mb))


def teaching_batch(study: Study, model: str, attempt: int = 1, device: Device = CPU) -> int:
    """Return the most records of one pass as a model is taught its skill; see `micro_batch`.

    Raises:
        GradsError: not even one fits.
    """
    training = study.skills[model].training(study.training)
    most = min(MICRO_BATCH, training.global_batch)
    size = size_of(study, model)
    if size is not None:
        computed = precision(training.precision, device)
        fitting = largest_micro_batch(size, training, computed, device, most)
        if fitting is None:
            needed = training_footprint(size, training, computed, 1, training.max_length)
            raise GradsError(
                f"teaching '{model}' trains all of its weights, which takes {needed}, one record at a time, and "
                f"{device.name} has {(device.usable or 0) / GB:.1f} GB for them: lower its 'taught.max_length', or "
                "teach a smaller model"
            )
        most = fitting
    return max(1, most // 2 ** (attempt - 1))


def prepare_encoder(study: Study, encoder: str, attempt: int = 1) -> Resources:
    """Return what preparing a sentence encoder takes."""
    return _job(SLACK * (PROCESS["cpu"] + 2 * _encoder_bytes(study, encoder)), attempt=attempt)


def probe_tokens(study: Study, model: str, domain: str, attempt: int = 1) -> Resources:
    """Return what counting the tokens of a domain's records takes: a tokenizer, and all records in memory."""
    return _small(RECORDS + 2 * split_records(study, domain) * RECORD, attempt)


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
    held = frozenset(measures(study, store, model))
    size = size_of(study, model)
    if size is None:
        return _unknown(device, attempt)
    work = probe_work(study, model, domain, store)
    load = load_of(study, model, domain, store_point(store)[2])
    computed = precision(study.probe.precision, device)
    longest = max(study.probe.token_budget, load.longest)
    needed = probe_footprint(
        size,
        study.training,
        computed,
        min(longest, max(load.longest, work.measuring.tokens)),
        gradients=needs_gradients(held),
        losses=needs_losses(held),
        dense=bool(FEATURES & held) and study.probe.features.projection == "dense",
        kind=device.kind,
    )
    return _on_device(study, size, needed, device, work, attempt)


def probe_encoder(
    study: Study, encoder: str, model: str, domain: str, split: str, attempt: int = 1, device: Device = CPU
) -> Resources:
    """Return what embedding a domain's records, or those of another split, by a sentence encoder takes."""
    load = load_of(study, model, domain, split)
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
    return _small(TABLES + 2 * written // study.probe.shards, attempt)


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
            point, _encoder, split = store_point(store)
            records = load_of(study, cell.model, cell.domain, split).records
            checkpoints = study.probe.warmup.epochs if point == WARMUP else 1
            vectors += 2 * 4 * checkpoints * records * sum(vector_widths(study, size, held))
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
    if is_scaled(study, cell):
        return _scale(size, training, device, attempt)
    load = load_of(study, cell.model, cell.domain)
    computed = precision(training.precision, device)
    batch = micro_batch(study, cell, 1, device)
    # A processor's job whose records are not counted yet asks for the usual: another try asks for more.
    usual = device.kind == "cpu" and not load.counted
    length = math.ceil(TYPICAL * load.longest) if usual else load.longest
    base = base_read(study, cell)
    needed = training_footprint(size, training, computed, batch, length, kind=device.kind, base=base)
    work = training_work(study, cell, batch)
    # The selection is read from all records.
    return _on_device(study, size, needed, device, replace(work, records=load.records), attempt)


def _scale(size: ModelSize, training: Training, device: Device, attempt: int) -> Resources:
    """Return what scaling another run takes: an adapter's on a processor, all weights where the models are loaded.

    What is made is held once more as it is written.
    """
    needed = scaling_footprint(size, training).total
    written = 4 * trained_parameters(size, training)
    on_gpu = device.kind == "cuda" and training.weights == "full"
    host = PROCESS["cuda" if on_gpu else "cpu"] + written + (0 if on_gpu else needed)
    return _job(SLACK * host, gpu=needed if on_gpu else 0, gpus=int(on_gpu), minutes=SHORTEST, attempt=attempt)


def evaluate(
    study: Study,
    model: str,
    domains: Iterable[str],
    attempt: int = 1,
    device: Device = CPU,
    *,
    general: bool = True,
    tuned: bool = True,
    split: str = TEST,
) -> Resources:
    """Return what evaluating one trained model takes, or the untuned one.

    Args:
        study: the study.
        model: key of the model.
        domains: whose test records it answers.
        attempt: number of the try, from 1.
        device: where it will run.
        general: whether general benchmarks and drift are measured, too.
        tuned: whether the model was trained.
        split: whose records it answers; training records are shown with their answers.
    """
    size = size_of(study, model)
    if size is None:
        return _unknown(device, attempt)
    evaluation = study.evaluation
    answering = list(domains)
    limit = study.generation.max_new_tokens
    computed = precision(evaluation.precision, device)
    loads = [load_of(study, model, domain, split) for domain in answering]
    prompt = max((math.ceil(load.prompts.mean) for load in loads), default=1)
    longest = max((load.longest for load in loads), default=0) + limit
    if evaluation.engine == "reference":
        rows = max(1, evaluation.token_budget // (prompt + limit))
        tokens = max(evaluation.token_budget, longest)
        passing = tokens
    else:
        answers = max(1, sum(load.records for load in loads))
        rows = min(answers, answer_rows(study, size, longest, device))
        tokens = rows * longest
        passing = min(tokens, max(pass_tokens(evaluation.token_budget, device.kind), longest) + rows)
    footprints = [generation_footprint(size, study.training, computed, tokens, rows, passing)]
    if general:
        length = longest_item(study, size)
        if evaluation.engine == "reference":
            footprints.append(scoring_footprint(size, study.training, computed, evaluation.task_batch, length))
        else:
            most = max(pass_tokens(evaluation.token_budget, device.kind), length)
            found = scoring_footprint(size, study.training, computed, 1, most, cached=False, positions=POSITIONS)
            footprints.append(found)
    needed = max(footprints, key=lambda one: one.total)
    work = evaluation_work(study, model, answering, device, general=general, tuned=tuned, split=split)
    return _on_device(study, size, needed, device, work, attempt)


def evaluate_cell(study: Study, cell: Cell, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what evaluating a cell on its own domain and on the general benchmarks takes."""
    return evaluate(study, cell.model, [cell.domain], attempt, device)


def evaluate_cross(study: Study, cell: Cell, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what evaluating a cell on the other domains takes."""
    return evaluate(study, cell.model, cross_domains(study, cell.domain), attempt, device, general=False)


def evaluate_untuned(study: Study, model: str, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what evaluating the untuned model on all domains takes."""
    return evaluate(study, model, study.domains, attempt, device, tuned=False)


def rewrite(study: Study, model: str, domain: str, attempt: int = 1, device: Device = CPU) -> Resources:
    """Return what answering a domain's training records takes."""
    return evaluate(study, model, [domain], attempt, device, general=False, tuned=False, split=TRAIN)


def metrics(study: Study, attempt: int = 1) -> Resources:
    """Return what measuring a cell's answers takes."""
    return _small(2 * TABLES + 2 * (study.splits.sizes["test"] or 0) * RECORD, attempt)


def report(study: Study, attempt: int = 1) -> Resources:
    """Return what the long table, or what is made from it, takes: a row an item of every cell, resampled in memory."""
    items = (study.splits.sizes["test"] or 0) + sum(task.sample or ITEMS for task in study.general.tasks.values())
    return _small(2 * TABLES + 1000 * len(cells(study)) * items, attempt)


def _encoder_bytes(study: Study, encoder: str) -> int:
    """Return the bytes of a prepared encoder's weights; those of a large one where it is not there yet."""
    files = list(Paths(study.study).encoder(encoder).glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else 1500 * MB


# From bytes and seconds to what is asked for.


def _on_device(
    study: Study,
    size: ModelSize,
    needed: Footprint,
    device: Device,
    work: Work,
    attempt: int,
) -> Resources:
    """Return what a job asks for whose tensors are on a device.

    With a GPU the host holds its process and, as they are read, the weights as stored. Without, it holds all, and the
    weights as stored too where they are of another type.
    """
    minutes = SHORTEST + PATIENCE * DeviceSpeed(study, device).seconds("", work) / 60
    host = PROCESS[device.kind] + work.records * RECORD
    if device.kind == "cuda":
        host += size.stored_bytes
        return _job(host, gpu=needed.total, gpus=1, minutes=minutes, attempt=attempt)
    stored: Mapping[Computed, str] = {"bf16": "BF16", "float32": "F32"}
    computed = precision(work.precision, device)
    host += needed.total + (0 if size.dtype == stored[computed] else size.stored_bytes)
    return _job(SLACK * host, minutes=minutes, attempt=attempt)


def _unknown(device: Device, attempt: int) -> Resources:
    gpus = int(device.kind == "cuda")
    return _job(UNKNOWN_MODEL, gpu=gpus * UNKNOWN_MODEL, gpus=gpus, minutes=720, attempt=attempt)


def _small(memory: float, attempt: int) -> Resources:
    return _job(memory, attempt=attempt)


def _job(
    memory: float,
    *,
    attempt: int,
    gpu: float = 0,
    gpus: int = 0,
    minutes: float = SMALL,
) -> Resources:
    """Return what a job asks for by its bytes and minutes, and the number of its try; rounded up."""
    grown = memory * (1 + 0.5 * (attempt - 1))
    return Resources(
        memory_mb=100 * math.ceil(grown / (100 * MB)),
        gpu_memory_mb=100 * math.ceil(gpu / (100 * MB)),
        minutes=10 * math.ceil(minutes * attempt / 10),
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
        "teach_model": partial(teach_model, study, model, attempt, device),
        "prepare_encoder": lambda: prepare_encoder(study, wildcards["encoder"], attempt),
        "probe_tokens": partial(probe_tokens, study, model, domain, attempt),
        "probe_encoder": lambda: probe_encoder(
            study, wildcards["encoder"], model, domain, embedded_records(wildcards), attempt, device
        ),
        "probe_shards": lambda: join_shards(study, model, domain, without_seed(wildcards["store"]), attempt),
        "evaluate_untuned": partial(evaluate_untuned, study, model, attempt, device),
        "evaluate_cross": lambda: evaluate_cross(study, cell_of(wildcards), attempt, device),
        "evaluate": lambda: evaluate_cell(study, cell_of(wildcards), attempt, device),
        "rewrite": partial(rewrite, study, model, domain, attempt, device),
        "select": lambda: select(study, cell_of(wildcards), attempt),
        "train": lambda: train(study, cell_of(wildcards), attempt, device),
    }
    for point in ("base", WARM):
        store = point + wildcards.get("other", "")
        asked[f"probe_{point}"] = partial(probe, study, model, domain, store, attempt, device)
    for point in BY_SEED:
        asked[f"train_{point}"] = partial(_train_at, study, wildcards, point, attempt, device)
    return asked.get(rule, of_report)()


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
