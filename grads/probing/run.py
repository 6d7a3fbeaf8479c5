"""The probe's stages: from records to a signal store.

`tokens` needs the tokenizer only and says which records are eligible; `base` reads the untrained weights; `warm` the
weights after the preliminary epoch. What each measures is what the methods of a study ask for, together, of training
records or, apart, of validation records. A third store of gradients, `during`, is made by a training run that is
watched (`grads.probing.during`); embeddings of a sentence encoder are a store of their own (`grads.probing.encoder`).
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grads.config.models import Format
from grads.config.probe import UNREAD, Probe
from grads.config.training import Training
from grads.data.records.formatting import Example, Formatter, Tokenized, token_counts
from grads.data.records.record import Record, load_records
from grads.models.adapter import fresh_adapter
from grads.models.causal import check_context, context_length, unwrap
from grads.models.cpu.compiled import worth_compiling
from grads.models.device import chosen_precision, device
from grads.models.flops import probe_flops, stored_parameters
from grads.models.load import load_model, load_tokenizer
from grads.models.memory import spent
from grads.models.moments import Moments, check_moments, initial_moments, load_moments
from grads.probing.budget import Budget
from grads.probing.eligible import nothing_eligible
from grads.probing.gradients.passes import Pass
from grads.probing.measure import check_examples, look_ahead, on_places, say_cost
from grads.probing.resume import Finished
from grads.runtime.errors import GradsError
from grads.runtime.files import digest, sha256_file
from grads.runtime.locks import scratch_folder
from grads.runtime.manifest import verified
from grads.runtime.progress import Progress, say
from grads.signals.columns import needs_gradients
from grads.signals.measures.registry import signal_modules
from grads.signals.names import ADAM_FEATURES, FEATURES
from grads.signals.store import example_frame, write_store
from grads.study.code import code_version
from grads.study.lengths import length_sentence


@dataclass(frozen=True)
class Task:
    """What is probed, how, and where the store goes.

    Args:
        model: a prepared model.
        records: Parquet of a domain's records.
        form: how a record becomes a prompt.
        training: says how long a record may be, what happens to longer ones, and the shape of an adapter.
        out: folder of the store.
        point: `base` or `warm`.
        measures: see `grads.signals.names`.
        probe: token budget, precision, and how signals are taken.
        scratch: folder of what a stopped probe resumes from.
        label: opens the progress lines.
        trained: folder of the adapter or the weights of the preliminary epoch, at `warm`.
        moments: file of what its optimiser remembers.
        adapter_seed: at `base`, makes the adapter whose gradients are measured: the one that training with this seed
            begins with. Its B is 0, so only the gradient of B is not.
        shard: which part of how many, from 0, in the order of the records.
        held_out: Parquet of the domain's other records by split, whose lengths are looked at before anything is
            trained: `validation` and `test`.
        answer_tokens: most tokens of an answer to a test prompt.
    """

    model: Path
    records: Path
    form: Format
    training: Training
    out: Path
    point: str = "tokens"
    measures: Collection[str] = ()
    probe: Probe = field(default_factory=Probe)
    scratch: Path = Path("scratch")
    label: str = "probe"
    trained: Path | None = None
    moments: Path | None = None
    adapter_seed: int = 0
    shard: tuple[int, int] = (0, 1)
    held_out: Mapping[str, Path] = field(default_factory=dict)
    answer_tokens: int = 0

    @property
    def fresh_adapter(self) -> bool:
        """Whether an adapter is made only to measure its gradients."""
        wanted = (FEATURES | {"adapter"}) & set(self.measures)
        return self.trained is None and self.training.weights == "lora" and bool(wanted)


def probe_tokens(task: Task) -> None:
    """Write the store `tokens`: id and token counts of every eligible record; and look at the held-out records.

    `lengths` in its meta says of each split how many `records` it has, how many are `too_long`, and of how many the
    answer is `truncated`. A test record is too long if its prompt alone fills `max_length`. `token_counts` says of the
    others how many have how many tokens, see `token_counts`.

    Raises:
        GradsError: no record is eligible, or one is longer than what the model was made for; no test prompt fits, or
            the model's positions have no room for its answer.
    """
    from transformers import AutoConfig

    started = time.monotonic()
    tokenizer = load_tokenizer(task.model)
    tokenized, meta = tokenize(task, tokenizer)
    if not tokenized.examples:
        raise nothing_eligible(task.records, task.training)
    config = AutoConfig.from_pretrained(str(task.model), local_files_only=True)
    check_examples(tokenized.examples)
    check_context(tokenized.examples, config)
    formatter = Formatter(tokenizer, task.form)
    lengths = {"train": _lengths(len(load_records(task.records)), tokenized)}
    counts = {"train": token_counts(tokenized.examples)}
    for split, path in task.held_out.items():
        records = load_records(path)
        over_length = "truncate" if split == "test" else task.training.over_length
        held_out = formatter.tokenize(records, task.training.max_length, over_length)
        if split == "test":
            _check_tests(task, path, records, held_out, context_length(config))
        lengths[split] = _lengths(len(records), held_out)
        counts[split] = token_counts(held_out.examples)
    if sentence := length_sentence(lengths, task.training.max_length):
        say(f"{task.label}: {sentence}")
    # Jobs ask for memory and time by these.
    meta |= {"point": "tokens", "lengths": lengths, "token_counts": counts, **spent(started, device())}
    write_store(task.out, example_frame(tokenized.examples), meta=meta)


def _lengths(records: int, tokenized: Tokenized) -> dict[str, int]:
    return {"records": records, "too_long": tokenized.over_length, "truncated": tokenized.truncated}


def _check_tests(task: Task, path: Path, records: Sequence[Record], fitting: Tokenized, context: int | None) -> None:
    """Refuse test records that no model of the study could answer, before one is trained."""
    if records and not fitting.examples:
        raise GradsError(
            f"{path}: none of {len(records)} test prompts fits into training.max_length = {task.training.max_length} "
            "tokens: raise it, or leave the domain out for this model"
        )
    longest = max((example.prompt_tokens for example in fitting.examples), default=0)
    if context is not None and longest + task.answer_tokens > context:
        raise GradsError(
            f"{path}: the longest test prompt has {longest} tokens and generation.max_new_tokens is "
            f"{task.answer_tokens}, but the model has room for {context}: lower max_new_tokens, or training.max_length "
            "to leave long prompts out"
        )


def check_probe(task: Task) -> None:
    """Refuse what the probe could not do at `warm`, before a model is trained for it: by its untrained weights.

    Raises:
        GradsError: see `probe_model`.
    """
    tokenizer = load_tokenizer(task.model)
    examples = tokenize(task, tokenizer)[0].examples
    if not examples:
        raise nothing_eligible(task.records, task.training)
    adapted = task.training.weights == "lora"
    model = _model(replace(task, trained=None), adapted)
    moments = initial_moments(model) if adapted else None
    with _ready(task, model, examples, tokenizer.pad_token_id, moments) as ready:
        say_cost(ready, examples)


def probe_model(task: Task) -> None:
    """Write what a model's weights say of every eligible record, or of those of a shard.

    A probe that was stopped goes on: what it finished is kept in the scratch folder, under the hash of all that shapes
    it, and a probe of anything else does not see it.

    Raises:
        GradsError: no record is eligible, the model or the records cannot be measured so, or a signal is no number.
    """
    started = time.monotonic()
    tokenizer = load_tokenizer(task.model)
    tokenized, counts = tokenize(task, tokenizer)
    if not tokenized.examples and task.shard[1] == 1:
        raise nothing_eligible(task.records, task.training)
    made = shaped_by(task) | {"format_sha256": counts["format_sha256"]}
    key = digest(made)
    with scratch_folder(task.scratch, [key, task.shard]) as scratch:
        finished = Finished(scratch / "rows", tokenized.examples, task.probe.nonfinite == "skip")
        budget = Budget(task.probe.token_budget)
        if left := finished.left:
            _measure(task, left, tokenizer.pad_token_id, budget, finished)
        passes = int(needs_gradients(task.measures))
        parameters = stored_parameters(task.model)
        meta = made | counts | {"key": key, "shard": list(task.shard), "gradient_passes": passes}
        meta["flops"] = probe_flops(parameters, passes, counts["tokens"])
        meta |= {"token_budget": task.probe.token_budget, "deviations": finished.deviations}
        meta["seconds_measuring"] = round(finished.seconds, 3)
        if task.fresh_adapter:
            say(f"{task.label}: of the new adapter only B has gradients, for B is 0")
            meta["adapter"] = "B only: A has no gradient while B is 0"
        finished.write(task.out, meta | spent(started - finished.seconds_before, device()))


def _measure(task: Task, left: Sequence[Example], padding: int, budget: Budget, finished: Finished) -> None:
    moments = load_moments(task.moments) if task.moments else None
    model = _model(task, task.fresh_adapter)
    if moments is not None and task.moments is not None:
        check_moments(moments, model, task.moments)
    tokens = task.shard[1] * sum(len(example.input_ids) for example in finished.examples)
    with _ready(task, model, left, padding, moments, tokens) as ready:
        progress = Progress(task.label, len(left))
        if finished.state:
            budget.restore(finished.state)
        else:
            look_ahead(ready, left, budget)
        finished.begin()
        for batch, measured in budget.batches(left, on_places(ready, left)):
            finished.add([left[place] for place in batch], measured, budget.state())
            progress.advance(len(batch))


def _model(task: Task, adapted: bool) -> Any:
    """Return the task's model, with a new adapter or as it is."""
    model = load_model(task.model, task.probe.precision, task.trained)
    return fresh_adapter(model, task.training.adapter, task.adapter_seed) if adapted else model


@contextmanager
def _ready(
    task: Task, model: Any, examples: Sequence[Example], padding: int, moments: Moments | None, tokens: int = 0
) -> Iterator[Pass]:
    """Check the examples and make the model ready to measure them, compiled where so many tokens are worth it."""
    check_examples(examples, task.measures)
    check_context(examples, unwrap(model).config)
    options: dict[str, Any] = {"features": task.probe.features, "layer": task.probe.hidden_layer}
    options["compiled"] = worth_compiling(model, tokens, task.probe.compile)
    with Pass(model, task.measures, padding, moments=moments, **options).ready(examples[0]) as ready:
        yield ready


def tokenize(task: Task, tokenizer: Any) -> tuple[Tokenized, dict[str, Any]]:
    """Return the eligible examples of the task's shard, and how they were made."""
    formatter = Formatter(tokenizer, task.form)
    records = load_records(task.records)
    number, shards = task.shard
    mine = records[len(records) * number // shards : len(records) * (number + 1) // shards]
    tokenized = formatter.tokenize(mine, task.training.max_length, task.training.over_length)
    meta = {
        "format_sha256": formatter.sha256,
        "max_length": task.training.max_length,
        "over_length": tokenized.over_length,
        "truncated": tokenized.truncated,
        "tokens": sum(len(example.input_ids) for example in tokenized.examples),
    }
    return tokenized, meta


def shaped_by(task: Task) -> dict[str, Any]:
    """Return all that shapes a probe's numbers, shards and token budget not among them, as JSON values."""
    found: dict[str, Any] = {
        "point": task.point,
        "measures": sorted(task.measures),
        "model_sha256": verified(task.model),
        "records_sha256": sha256_file(task.records),
        "max_length": task.training.max_length,
        "longer_records": task.training.over_length,
        "code": code_version("grads.probing.run", *signal_modules(task.measures)),
        **task.probe.model_dump(exclude=UNREAD),
        "precision": chosen_precision(task.probe.precision),
    }
    if not FEATURES & set(task.measures):
        del found["features"]
    if task.trained is not None:
        found["trained_sha256"] = verified(task.trained)
    if ADAM_FEATURES in task.measures and task.moments is not None:
        found["moments_sha256"] = sha256_file(task.moments)
    if task.fresh_adapter:
        found |= {"adapter_seed": task.adapter_seed, "adapter_shape": task.training.adapter.model_dump()}
    return found
