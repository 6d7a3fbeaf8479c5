"""How fast this machine is with a model: a few batches through each kind of pass, measured once and stored.

Batches have the shapes of the study's own, and are run by the code that its jobs run. Each kind of pass is measured
twice, with one row and with a whole batch, so that a rate has two parts: of a batch, and of a token.
"""

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from grads.config.study import Study
from grads.data.passes import NO_PASSES, Lengths, Passes
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import Record, load_records, write_records
from grads.evaluation.benchmarks import TaskSpec, load_tasks
from grads.evaluation.counting import count_general
from grads.evaluation.engines.choice import engine_of
from grads.evaluation.engines.contract import Engine
from grads.evaluation.inference import inference
from grads.evaluation.likelihood import mean_nll
from grads.evaluation.requests import General
from grads.graph.batching import batching
from grads.graph.known import REQUESTS, TEST, general_key, general_of, load_of
from grads.graph.needs import measures, model_stores
from grads.graph.resources import planned_device
from grads.graph.study import StudyGraph
from grads.graph.times import ModelSpeed, Rate, measured, parse_speed
from grads.models.adapter import fresh_adapter
from grads.models.causal import decoder, pad_right, unwrap
from grads.models.cpu.compiled import worth_compiling
from grads.models.load import load_model, load_tokenizer
from grads.models.moments import initial_moments
from grads.probing.measure import measure
from grads.runtime.environment import environment
from grads.runtime.files import digest, read_object, reading, write_json
from grads.runtime.progress import Progress, say
from grads.signals.names import ADAM_FEATURES, FEATURES
from grads.study.paths import BASE, REWRITTEN, TOKENS, TRAJECTORY, Paths, store_point
from grads.training.run import TrainingCell, train_cells
from grads.training.visits import micro_batch, training_order

CALIBRATION = "calibration.json"
"""File of a study with what was measured."""
STEPS = 8
"""Steps of answers that are timed."""
PREDICTIONS = 256
"""Tokens at which the LM head is applied to learn how long that takes."""
ROUNDS = (1, 3)
"""Micro-batches of the two training runs, whose difference is what one takes."""


def count_requests(study: Study, model: str) -> General:
    """Return what the general part of an evaluation asks of a prepared model: as stored, or counted now and stored."""
    path = Paths(study.study).root / REQUESTS
    stored = read_object(path) if path.is_file() else {}
    key = general_key(study, model)
    if stored.get(model, {}).get("key") != key:
        say(f"plan: counting what general benchmarks ask of {model}, once")
        stored[model] = {"key": key, **_count(study, model).as_json()}
        write_json(path, stored)
    return general_of(study, model)


def _count(study: Study, model: str) -> General:
    job = StudyGraph(study).evaluate_untuned(model)
    files = zip(job.tasks.items(), job.task_files, job.samples, strict=True)
    specs = {name: TaskSpec(file, sample=sample, **task) for (name, task), file, sample in files}
    with load_tasks(specs) as tasks:
        return count_general(job.model, job.form, tasks, study.evaluation, job.text or Path(), job.text_tokens)


def calibrate(study: Study, model: str, micro_batch_limit: int) -> ModelSpeed:
    """Return the speed of a model on this device: the stored one, or else measured now and stored.

    Model and records must be prepared. Another device, model or setting is measured again.

    Args:
        study: the study.
        model: key of the model.
        micro_batch_limit: most records of a pass in training.
    """
    machine = environment()["machine"]
    general = general_of(study, model)
    settings = (study.training, study.probe, study.generation, study.evaluation, study.every_model[model])
    device = [machine[name] for name in ("device", "processor", "instructions")]
    stores = {store: measures(study, store, model) for store in model_stores(study, model)}
    shaped = [model, *device, micro_batch_limit, stores, general.as_json(), *(part.model_dump() for part in settings)]
    key = digest(shaped, 16)
    path = Paths(study.study).root / CALIBRATION
    known = read_object(path) if path.is_file() else {}
    if key not in known:
        say(f"plan: measuring how fast {model} is on this device, once")
        known[key] = asdict(_Bench(study, model, micro_batch_limit, general).speed())
        write_json(path, known)
    with reading(path):
        return parse_speed(known[key])


@dataclass(frozen=True)
class _Timed:
    """Passes, and the seconds that they took."""

    passes: Passes
    seconds: float


class _Bench:
    """Measures one model; an evaluation's passes by the engine that the study asks for."""

    def __init__(self, study: Study, model: str, micro_batch_limit: int, general: General) -> None:
        self.study = study
        self.model = model
        self.limit = micro_batch_limit
        self.general = general
        self.batching = batching(study, model, planned_device())
        self.paths = Paths(study.study)
        self.folder = self.paths.model(model)
        self.form = study.every_model[model].format
        self.formatter = Formatter(load_tokenizer(self.folder), self.form)
        self.padding = self.formatter.tokenizer.pad_token_id

    def speed(self) -> ModelSpeed:
        """Return what was measured."""
        trained = self.model in self.study.models
        training, set_up = self._training() if trained else (Rate(), 0.0)
        measuring = self._measuring()
        load_model(self.folder, self.study.evaluation.precision)
        started = time.monotonic()
        model: Any = load_model(self.folder, self.study.evaluation.precision)
        load = time.monotonic() - started
        if not trained:
            none = Rate()
            return ModelSpeed(load, set_up, 0.0, training, none, 0.0, none, none, none, measuring)
        if self.study.training.weights == "lora":
            model = fresh_adapter(model, self.study.training.adapter, 0)
        model.eval()
        with engine_of(model, self.study.evaluation) as engine:
            reading, prediction = self._reading(engine)
            prompting, answering = self._generation(engine)
            scoring = self._scoring(engine, reading)
        tasks = _seconds(lambda: _count(self.study, self.model))
        return ModelSpeed(load, set_up, tasks, training, reading, prediction, scoring, prompting, answering, measuring)

    def _records(self, split: str, count: int) -> list[Record]:
        """Return so many records of the study, spread over the lengths that there are; fewer where there are fewer."""
        found: list[Record] = []
        for domain in self.study.domains:
            found += load_records(self.paths.records(domain, split))
        over_length = "truncate" if split == TEST else self.study.training.over_length
        kept = self.formatter.tokenize(found, self.study.training.max_length, over_length).examples
        lengths = {example.id: len(example.input_ids) for example in kept}
        fitting = sorted((record for record in found if record.id in lengths), key=lambda record: lengths[record.id])
        count = min(count, len(fitting))
        return [fitting[(2 * number + 1) * len(fitting) // (2 * count)] for number in range(count)]

    def _examples(self, split: str, count: int) -> list[Example]:
        over_length = "truncate" if split == TEST else self.study.training.over_length
        records = self._records(split, count)
        return self.formatter.tokenize(records, self.study.training.max_length, over_length).examples

    def _batch(self, split: str, budget: int) -> list[Example]:
        """Return records that fill about one batch under a token budget."""
        load = load_of(self.study, self.model, next(iter(self.study.domains)), split)
        rows = max(1, round(budget / max(1.0, load.examples.mean)))
        examples = self._examples(split, rows)
        while len(examples) > 1 and len(examples) * max(len(one.input_ids) for one in examples) > budget:
            examples = examples[: -max(1, len(examples) // 8)]
        return examples

    def _training(self) -> tuple[Rate, float]:
        """Return what micro-batches of the study's size take, and what a run takes next to them."""
        settings = self.study.training
        rows = settings.global_batch
        if settings.engine == "reference":
            rows = micro_batch(rows, self.limit)
        small, large = (self._run(count * rows, rows) for count in ROUNDS)
        token = (large[0].seconds - small[0].seconds) / max(1, large[0].passes.padded - small[0].passes.padded)
        if token <= 0:
            token = large[0].seconds / large[0].passes.padded
        return Rate(0.0, token), max(0.0, large[1] - token * large[0].passes.padded)

    def _run(self, count: int, rows: int) -> tuple[_Timed, float]:
        """Train on so many records, and return its passes, and the seconds of the whole run."""
        records = self._records("train", count)
        # Each micro-batch is a step, so that few are needed.
        settings = self.study.training.model_copy(update={"global_batch": rows, "epochs": 1})
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="grads-plan-") as scratch:
            place = Path(scratch)
            write_records(place / "records.parquet", records)
            cell = TrainingCell(
                label="plan, training",
                records=place / "records.parquet",
                kept=None,
                trained=place / "adapter",
                summary=place / "training.json",
                scratch=place / "scratch",
                initialisation_seed=0,
                order_seed=0,
                epochs=1,
            )
            train_cells([cell], self.folder, self.form, settings, self.limit)
            seconds = float(read_object(place / "training.json")["seconds"])
        examples = self.formatter.tokenize(records, settings.max_length, settings.over_length).examples
        lengths = {example.id: len(example.input_ids) for example in examples}
        order = [lengths[id_] for id_ in training_order(list(lengths), settings, 0)]
        batches = [order[start : start + rows] for start in range(0, len(order), rows)]
        padded = sum(len(batch) * max(batch) for batch in batches) if settings.engine == "reference" else sum(order)
        return _Timed(Passes(len(order), sum(order), padded, len(batches)), seconds), time.monotonic() - started

    def _measuring(self) -> dict[str, Rate]:
        """Return what batches of the probe take, by what is measured of them."""
        found = {}
        for store in model_stores(self.study, self.model):
            point, encoder, _records = store_point(store)
            if encoder is not None or point in (TOKENS, REWRITTEN):
                continue
            held = ["losses"] if point == TRAJECTORY else measures(self.study, store, self.model)
            if (name := measured(tuple(held))) not in found:
                found[name] = self._probe(held, adapted=point != BASE or bool((FEATURES | {"adapter"}) & set(held)))
        return found

    def _probe(self, held: Collection[str], adapted: bool) -> Rate:
        probe = self.study.probe
        model: Any = load_model(self.folder, probe.precision)
        if adapted and self.study.training.weights == "lora":
            model = fresh_adapter(model, self.study.training.adapter, 0)
        options: dict[str, Any] = {"features": probe.features, "layer": probe.hidden_layer}
        loads = [load_of(self.study, self.model, domain) for domain in self.study.domains]
        options["compiled"] = worth_compiling(model, max(load.tokens for load in loads), probe.compile)
        if ADAM_FEATURES in held:
            options["moments"] = initial_moments(model)
        examples = self._batch("train", probe.token_budget)

        def passing(some: Sequence[Example]) -> _Timed:
            progress = Progress("plan, probe", len(some))
            seconds = _seconds(
                lambda: measure(model, some, held, probe.token_budget, self.padding, progress, **options)
            )
            lengths = Lengths.of(len(example.input_ids) for example in some)
            return _Timed(lengths.under_budget(probe.token_budget, tight=True), seconds)

        return _rate(passing, examples)

    def _reading(self, engine: Engine) -> tuple[Rate, float]:
        """Return what batches without the LM head take, and what it takes at a token."""
        kept: list[torch.Tensor] = []

        def passing(some: Sequence[Example]) -> _Timed:
            sequences = [example.input_ids for example in some]
            firsts = [1] * len(some)

            def visit(_index: int, states: torch.Tensor) -> None:
                kept[:] = [states]

            seconds = _seconds(lambda: engine.states(sequences, firsts, visit))
            return _Timed(self.batching.read(Lengths.of(map(len, sequences))), seconds)

        rate = _rate(passing, self._batch(TEST, self.batching.budget))
        model = engine.model
        states = kept[0][:1].expand(PREDICTIONS, -1).clone()
        targets = torch.zeros(PREDICTIONS, dtype=torch.long, device=states.device)
        with inference(model):
            mean_nll(model, states, targets)
            return rate, _seconds(lambda: mean_nll(model, states, targets)) / PREDICTIONS

    def _scoring(self, engine: Engine, reading: Rate) -> Rate:
        """Return what batches of choices take: trees are read as sequences are, rows with the LM head at all tokens."""
        if self.study.evaluation.engine != "reference":
            return reading
        choices = [length for task in self.general.tasks.values() for length in task.choices.listed()]
        if not choices:
            return Rate()
        length = round(sum(choices) / len(choices))
        model: Any = engine.model

        def passing(some: Sequence[Example]) -> _Timed:
            ids = pad_right([(example.input_ids * length)[:length] for example in some], self.padding)
            with inference(model):
                seconds = _seconds(lambda: model(ids.to(model.device)).logits)
            return _Timed(Passes(len(some), ids.numel(), ids.numel(), 1), seconds)

        return _rate(passing, self._examples("train", self.study.evaluation.task_batch))

    def _generation(self, engine: Engine) -> tuple[Rate, Rate]:
        """Return what passes of prompts take, and steps of answers: with one, and with as many as the study has."""
        load = load_of(self.study, self.model, next(iter(self.study.domains)), TEST)
        rows = self.batching.rows(load.prompts, self.study.generation.max_new_tokens)
        prompts = [self.formatter.prompt_ids(record) for record in self._records(TEST, rows)]
        self._written(engine, prompts[:1])
        one = self._written(engine, prompts[:1])
        whole = self._written(engine, prompts)
        return _two_points(one.prompts, whole.prompts), _two_points(one.steps, whole.steps)

    def _written(self, engine: Engine, prompts: Sequence[list[int]]) -> "_Writing":
        """Write a few tokens after each prompt; return the first pass, of prompts alone, and steps of all answers."""
        reads = self.batching.read(Lengths.of(map(len, prompts))).batches
        # So long after the last prompts were read all answers are still being written.
        limit = reads + STEPS
        # The model has room for a prompt; so much of it is left for the answer.
        cut = [prompt[: max(1, len(prompt) - limit)] for prompt in prompts]
        core = unwrap(engine.model)
        # An answer that ends early would be left out of the steps: the last token of a vocabulary hardly occurs.
        never = core.config.get_text_config().vocab_size - 1
        with _watched(core) as passes:
            engine.answers(cut, limit, [never], lambda: None)
        return _Writing(passes[0], _together(passes[reads : reads + STEPS]))


@dataclass(frozen=True)
class _Writing:
    """A pass of prompts, and steps of their answers."""

    prompts: _Timed
    steps: _Timed


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[_Timed]]:
    """Yield a list that holds, when the block ends, each pass of a model in it, until the next one begins."""
    begun: list[float] = []
    tokens: list[int] = []

    def begin(_module: nn.Module, _arguments: object, keywords: dict[str, torch.Tensor]) -> None:
        begun.append(time.monotonic())
        tokens.append(keywords["input_ids"].numel())

    found: list[_Timed] = []
    hook = decoder(model).register_forward_pre_hook(begin, with_kwargs=True)
    try:
        yield found
    finally:
        hook.remove()
    begun.append(time.monotonic())
    for count, (start, stop) in zip(tokens, pairwise(begun), strict=True):
        found.append(_Timed(Passes(padded=count, batches=1), stop - start))


def _together(timed: Sequence[_Timed]) -> _Timed:
    return _Timed(sum((one.passes for one in timed), NO_PASSES), sum(one.seconds for one in timed))


def _rate(passing: Callable[[Sequence[Example]], _Timed], examples: Sequence[Example]) -> Rate:
    """Return the rate of a kind of pass: of one example, and of a batch of them, after one to warm up."""
    passing(examples[:1])
    return _two_points(passing(examples[:1]), passing(examples))


def _two_points(small: _Timed, large: _Timed) -> Rate:
    """Return the rate of which both are; where a batch costs nothing, its tokens cost all."""
    batches = small.passes.batches * large.passes.padded - large.passes.batches * small.passes.padded
    if batches:
        batch = (small.seconds * large.passes.padded - large.seconds * small.passes.padded) / batches
        token = (large.seconds - batch * large.passes.batches) / large.passes.padded
        if batch > 0 and token > 0:
            return Rate(batch, token)
    return Rate(0.0, large.seconds / max(1, large.passes.padded))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
