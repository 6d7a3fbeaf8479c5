"""How much work each job of a study is: the one count that resources, `grads plan` and the times of both follow from.

Batches are made as the jobs make them. What is prepared counts; before that, see `grads.graph.known`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from grads.config.ratios import AUTO, keep_count
from grads.config.section import Precision
from grads.config.study import Study
from grads.config.training import Training
from grads.data.passes import NO_PASSES, Lengths, Passes
from grads.graph.batching import Batching, all_of, batching
from grads.graph.known import (
    TEST,
    Load,
    base_read,
    cell_training,
    general_of,
    is_scaled,
    kept_of,
    load_of,
    size_of,
    vector_widths,
)
from grads.graph.needs import measures
from grads.models.footprint import trained_parameters
from grads.models.hardware import CPU, Device
from grads.selection.needs import arm_method
from grads.signals.names import ADAM_FEATURES
from grads.study.grid import Cell, cross_domains
from grads.study.paths import (
    BY_SEED,
    DURING,
    TRAIN,
    TRAJECTORY,
    VALIDATION,
    WARM,
    WARMUP,
    encoder_store,
    store_point,
    warm_cell,
)
from grads.training.needs import strategy_needs
from grads.training.visits import micro_batch, optimiser_steps

# Of a signal store, a record's row without vectors; of an evaluation, an answer and an item with what is known of it.
ROW = 200
ANSWER_BYTES = 2000


@dataclass(frozen=True)
class Work:
    """What a job does.

    Attributes:
        training: micro-batches of training steps.
        measuring: batches of the probe.
        measures: what it measures of them, which decides what a token costs.
        reading: batches of an evaluation that are read, at some of whose tokens the LM head is applied; of training,
            those that the base model reads for the loss.
        predictions: how often it is, in `reading`, and in `scoring` by the packed engine.
        scoring: batches of choices; by the reference engine with the LM head at all tokens.
        prompting: batches of prompts before their answers.
        answering: the answers; after its prompts, which give the first tokens, each step of a batch is a pass of one
            token a row. By the packed engine a step may read further prompts, too.
        precision: what it computes in.
        model: key of the model that does it; empty where there is none.
        all_weights: whether training changes all of the model's weights, whatever the study trains.
        loads: how often the model is read.
        tasks: general benchmarks that are set up.
        records: of the data that it reads or writes.
        disk: bytes that it leaves.
    """

    training: Passes = NO_PASSES
    measuring: Passes = NO_PASSES
    measures: tuple[str, ...] = ()
    reading: Passes = NO_PASSES
    predictions: int = 0
    scoring: Passes = NO_PASSES
    prompting: Passes = NO_PASSES
    answering: Passes = NO_PASSES
    precision: Precision = "auto"
    model: str = ""
    all_weights: bool = False
    loads: int = 0
    tasks: int = 0
    records: int = 0
    disk: float = 0.0


def work_of(
    study: Study,
    rule: str,
    wildcards: Mapping[str, str],
    micro_batch_limit: Callable[[Cell], int],
    device: Device = CPU,
) -> Work:
    """Return what a rule's job does.

    Args:
        study: the study.
        rule: name of the rule.
        wildcards: what its wildcards stand for.
        micro_batch_limit: says of a cell how many records of a pass its training may have.
        device: where it runs.
    """

    def trained(cell: Cell) -> Work:
        return training_work(study, cell, micro_batch_limit(cell))

    model = wildcards.get("model", "")
    domain = wildcards.get("domain", "")
    of_rule: dict[str, Callable[[], Work]] = {
        "prepare_model": lambda: _prepared(study, model),
        "teach_model": lambda: teaching_work(study, model, study.skills[model].global_batch),
        "probe_tokens": lambda: Work(records=load_of(study, model, domain).records),
        "probe_encoder": lambda: Work(records=load_of(study, model, domain, embedded_records(wildcards)).records),
        "probe_base": lambda: probe_work(study, model, domain, "base" + wildcards.get("other", "")),
        "probe_warm": lambda: probe_work(study, model, domain, WARM + wildcards.get("other", "")),
        "evaluate_untuned": lambda: evaluation_work(study, model, study.domains, device, tuned=False),
        "evaluate": lambda: evaluation_work(study, model, [domain], device),
        "rewrite": lambda: evaluation_work(study, model, [domain], device, general=False, tuned=False, split=TRAIN),
        "evaluate_cross": lambda: evaluation_work(study, model, cross_domains(study, domain), device, general=False),
        "train": lambda: trained(cell_of(wildcards)),
    }
    for point in BY_SEED:
        of_rule[f"train_{point}"] = partial(_at, point, wildcards, trained)
    return of_rule.get(rule, Work)()


def embedded_records(wildcards: Mapping[str, str]) -> str:
    """Return whose records a rule's job embeds by a sentence encoder."""
    return store_point(f"{encoder_store(wildcards['encoder'])}{wildcards.get('other', '')}")[2]


def _at(point: str, wildcards: Mapping[str, str], trained: Callable[[Cell], Work]) -> Work:
    """Return what the training run of a point takes, which is no arm's."""
    cell = warm_cell(wildcards["model"], wildcards["domain"], int(wildcards["seed"]))
    return trained(replace(cell, arm=point))


def cell_of(wildcards: Mapping[str, str]) -> Cell:
    """Return the cell that a rule's wildcards stand for."""
    model = wildcards["model"]
    domain = wildcards["domain"]
    return Cell(model, domain, wildcards["arm"], wildcards["ratio"], int(wildcards["seed"]))


def _prepared(study: Study, model: str) -> Work:
    size = size_of(study, model)
    return Work(loads=1, model=model, disk=size.stored_bytes if size else 0.0)


def teaching_work(study: Study, model: str, micro_batch_limit: int) -> Work:
    """Return what teaching a model its skill takes, before which it is prepared and after which it is compared."""
    skill = study.skills[model]
    training = skill.training(study.training)
    lengths = Load.up_to(skill.records, training.max_length).examples
    return replace(
        _prepared(study, model),
        training=_drawn(lengths, training.epochs * skill.records, training, micro_batch_limit),
        precision=training.precision,
        all_weights=True,
        loads=3,
        records=skill.records,
    )


def probe_work(study: Study, model: str, domain: str, store: str) -> Work:
    """Return what measuring a signal store takes, or one shard of it where the study asks for some."""
    held = measures(study, store, model)
    load = load_of(study, model, domain, store_point(store)[2])
    part = load.of_size(math.ceil(load.records / study.probe.shards)) if load.records else load
    return Work(
        measuring=part.examples.under_budget(study.probe.token_budget, tight=True),
        measures=tuple(held),
        precision=study.probe.precision,
        model=model,
        loads=1,
        records=part.records,
        disk=_store_bytes(study, model, held, part.records),
    )


def _store_bytes(study: Study, model: str, held: Iterable[str], records: int) -> float:
    """Return the bytes of a store: its columns, and vectors in float16."""
    size = size_of(study, model)
    width = sum(vector_widths(study, size, held)) if size else 0
    return float(records * (2 * width + ROW))


def training_work(study: Study, cell: Cell, micro_batch_limit: int) -> Work:
    """Return what a training run takes, what watches it included: of an arm's cell, or of the run of a point."""
    training = cell_training(study, cell)
    size = size_of(study, cell.model)
    trained = trained_parameters(size, training) if size else 0
    if is_scaled(study, cell):
        # All weights are read with those of the base model; an adapter is read alone.
        loads = 0 if training.weights == "lora" else 2
        return Work(precision=training.precision, model=cell.model, loads=loads, disk=4.0 * trained)
    passes = _training_passes(study, cell, micro_batch_limit)
    kept = kept_of(study, cell)
    base = base_read(study, cell)
    work = Work(
        training=passes,
        reading=passes if base.logits else NO_PASSES,
        predictions=round(passes.sequences * kept.responses.mean) if base.logits else 0,
        precision=training.precision,
        model=cell.model,
        # All weights are compared with those before: two more models are read, after the copy that a loss may need.
        loads=1 if training.weights == "lora" else 3 + (base.logits or base.weights),
        records=kept.records,
        # The weights; what Adam remembers is kept for some methods.
        disk=4.0 * trained,
    )
    pool = load_of(study, cell.model, cell.domain)
    if cell.arm == DURING:
        held = measures(study, DURING, cell.model)
        steps = optimiser_steps(pool.records, 1, training.global_batch)
        # A step's records are batched by themselves.
        rows = pool.examples.drawn(pool.records, training.global_batch)
        passes = Passes(rows.sequences, rows.tokens, rows.padded, max(steps, rows.batches))
        stored = _store_bytes(study, cell.model, held, pool.records)
        return replace(work, measuring=passes, measures=tuple(held), disk=work.disk + stored)
    if cell.arm == TRAJECTORY:
        steps = optimiser_steps(pool.records, training.epochs, training.global_batch)
        checkpoints = min(steps, study.probe.trajectory.checkpoints)
        once = pool.examples.under_budget(study.probe.token_budget, tight=True)
        stored = float(pool.records * (4 * checkpoints + ROW))
        return replace(work, measuring=once.times(checkpoints), measures=("losses",), disk=work.disk + stored)
    if cell.arm == WARMUP:
        return _with_checkpoints(study, cell, work)
    return work


def _with_checkpoints(study: Study, cell: Cell, work: Work) -> Work:
    """Return what a warm-up takes with the gradients at its checkpoints; its vectors are one after the other."""
    checkpoints = study.probe.warmup.epochs
    passes = NO_PASSES
    disk = work.disk
    for split in (TRAIN, VALIDATION):
        load = load_of(study, cell.model, cell.domain, split)
        passes += load.examples.under_budget(study.probe.token_budget, tight=True).times(checkpoints)
        disk += _store_bytes(study, cell.model, [ADAM_FEATURES] * checkpoints, load.records)
    return replace(work, measuring=passes, measures=(ADAM_FEATURES,), disk=disk)


def _training_passes(study: Study, cell: Cell, micro_batch_limit: int) -> Passes:
    """Return the micro-batches of a run."""
    training = cell_training(study, cell)
    lengths, visits = _visits(study, cell, training)
    return _drawn(lengths, visits, training, micro_batch_limit)


def _drawn(lengths: Lengths, visits: int, training: Training, micro_batch_limit: int) -> Passes:
    """Return the micro-batches of so many visits of records, in random order.

    The fast engine joins records without padding, as many as `micro_batch_limit` of the longest have tokens; under
    dropout it does as the reference.
    """
    if training.engine == "reference" or training.adapter.dropout > 0:
        return lengths.drawn(visits, micro_batch(training.global_batch, micro_batch_limit))
    tokens = micro_batch_limit * training.max_length
    return lengths.joined(visits, max(1, min(training.global_batch, int(tokens / max(1.0, lengths.mean)))))


def _visits(study: Study, cell: Cell, training: Training) -> tuple[Lengths, int]:
    """Return the lengths of the records that a run trains on, and how many visits it makes to them."""
    pool = load_of(study, cell.model, cell.domain)
    kept = kept_of(study, cell)
    if cell.arm == WARMUP:
        return pool.examples, training.epochs * keep_count(str(study.probe.warmup.share), pool.records)
    if cell.arm not in study.arms:
        return pool.examples, training.epochs * pool.records
    if arm_method(study, cell.arm).equal_steps:
        # All records, for as many steps as the subset would take.
        steps = optimiser_steps(kept_of_ratio(study, cell), training.epochs, training.global_batch)
        return pool.examples, min(training.epochs * pool.records, steps * training.global_batch)
    if strategy_needs(study, cell.arm).test_prompts:
        tested = load_of(study, cell.model, cell.domain, TEST)
        return tested.examples, training.epochs * tested.records
    declared = study.arms[cell.arm]
    match = declared.match
    whole = training.epochs * pool.records
    replayed = strategy_needs(study, cell.arm).replay
    mixed = kept.examples.scaled(kept.records + max(1, round(kept.records * replayed))) if replayed else kept.examples
    if match == "epochs":
        return mixed, round(training.epochs * mixed.sequences * (declared.training.stop or 1))
    if match == "steps" or not mixed.tokens:
        return mixed, whole
    return mixed, round(whole * pool.examples.mean / mixed.mean)


def kept_of_ratio(study: Study, cell: Cell) -> int:
    """Return how many records a cell's ratio asks for, whatever its selection keeps."""
    pool = load_of(study, cell.model, cell.domain)
    return kept_of(study, cell).records if cell.ratio == AUTO else keep_count(cell.ratio, pool.records)


def evaluation_work(
    study: Study,
    model: str,
    domains: Iterable[str],
    device: Device = CPU,
    *,
    general: bool = True,
    tuned: bool = True,
    split: str = TEST,
) -> Work:
    """Return what evaluating one trained model takes, or the untuned one.

    Args:
        study: the study.
        model: key of the model.
        domains: whose test records it answers.
        device: where it runs.
        general: whether general benchmarks and text are read, too.
        tuned: whether the model was trained, which is expected to end its answers as its references do.
        split: whose records are answered; training records are shown with their answers, which is not counted.
    """
    work = Work(
        precision=study.evaluation.precision,
        model=model,
        loads=2 if tuned and study.training.weights == "full" else 1,
    )
    passes = batching(study, model, device)
    for domain in domains:
        work = _with_answers(study, work, load_of(study, model, domain, split), tuned, passes)
    return _with_general(study, work, passes) if general else work


def _with_answers(study: Study, work: Work, load: Load, tuned: bool, passes: Batching) -> Work:
    """Add the answers to a domain's test records, and how likely their references are."""
    limit = study.generation.max_new_tokens
    references = load.responses.at_most(limit)
    # The untuned model is taken to talk on.
    answers = passes.domain_answers(load.prompts, references if tuned else all_of(limit, load.prompts))
    return replace(
        work,
        prompting=work.prompting + answers.prompting,
        answering=work.answering + answers.answering,
        reading=work.reading + passes.read(load.examples),
        predictions=work.predictions + load.responses.tokens,
        records=work.records + load.records,
        disk=work.disk + ANSWER_BYTES * load.records,
    )


def _with_general(study: Study, work: Work, passes: Batching) -> Work:
    """Add the general benchmarks, and the general text: by the model that is asked, and by the untuned one."""
    found = general_of(study, work.model)
    for task in found.tasks.values():
        scored, predictions = passes.scored(task)
        answers = passes.task_answers(task)
        work = replace(
            work,
            scoring=work.scoring + scored,
            predictions=work.predictions + predictions,
            prompting=work.prompting + answers.prompting,
            answering=work.answering + answers.answering,
            records=work.records + task.items,
            disk=work.disk + ANSWER_BYTES * task.items,
        )
    # Both models' LM heads are applied to what they made of each token but the last.
    predicted = 2 * (found.texts.tokens - found.texts.sequences)
    return replace(
        work,
        reading=work.reading + passes.read(found.texts).times(2),
        predictions=work.predictions + predicted,
        tasks=len(found.tasks),
    )
