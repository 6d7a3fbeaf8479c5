"""Measuring many records: batches under a token budget, longest records first."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from torch import nn

from grads.data.positions import predicted
from grads.data.records.formatting import Example
from grads.models.causal import check_context, unwrap
from grads.probing.budget import Budget
from grads.probing.gradients.passes import Pass
from grads.probing.gradients.projection import dense_cost
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress, say
from grads.signals.columns import columns
from grads.signals.measured import Measured


def measure(
    model: nn.Module,
    examples: Sequence[Example],
    measures: Collection[str],
    budget: Budget | int,
    padding: int,
    progress: Progress | None = None,
    ahead: Sequence[Example] = (),
    **options: Any,
) -> Measured:
    """Return what the measures say of each record, in order, all in memory.

    Args:
        model: a causal language model, with or without a PEFT adapter, which stays active as a low-rank path.
        examples: each with at least one response token.
        measures: see `grads.signals.names`.
        budget: most tokens in one batch, padding included; lowered where memory runs out. A number is for this call.
        padding: any token id, to fill the batches.
        progress: told how many records are done.
        ahead: all records that are to be measured under the budget, by this call and later ones, if they are to be
            looked at first (see `look_ahead`).
        options: the others of `Pass`.

    Raises:
        GradsError: see `check_examples`; or the model does more than is known here.
    """
    check_examples([*examples, *ahead], measures)
    check_context([*examples, *ahead], unwrap(model).config)
    whole = Measured({name: np.empty(len(examples)) for name in columns(measures)})
    whole.token_losses = [np.empty(0)] * len(examples) if "token_losses" in measures else []
    if not examples:
        return whole
    budget = Budget(budget) if isinstance(budget, int) else budget
    with Pass(model, measures, padding, **options).ready(examples[0]) as ready:
        if ahead:
            look_ahead(ready, ahead, budget)
        for batch, part in budget.batches(examples, on_places(ready, examples)):
            _put(whole, batch, part, len(examples))
            if progress is not None:
                progress.advance(len(batch))
    return whole


def on_places(ready: Pass, examples: Sequence[Example]) -> Callable[[list[int]], Measured]:
    """Return what measures the records at some places among the examples."""
    return lambda places: ready.measure([examples[place] for place in places])


def look_ahead(ready: Pass, examples: Sequence[Example], budget: Budget) -> None:
    """Say what dense features of all the records will cost, and lower the budget to what the memory holds.

    Raises:
        GradsError: dense features cost too much, or a record does not fit into the memory by itself.
    """
    say_cost(ready, examples)
    budget.fit(ready.embedding.weight.device, examples, on_places(ready, examples))


def say_cost(ready: Pass, examples: Sequence[Example]) -> None:
    """Say what dense features of all the records will cost, where such are taken.

    Raises:
        GradsError: they cost more than the pass itself, and that was not asked for.
    """
    if ready.taps.dense_entries:
        tokens = sum(len(example.input_ids) for example in examples)
        features = ready.taps.features
        sizes = (ready.taps.dense_entries, features.dimension, len(examples), ready.multiplied, tokens)
        say(dense_cost(*sizes, features.allow_costly))


def _put(whole: Measured, batch: list[int], part: Measured, total: int) -> None:
    """Put a batch's numbers in their places."""
    for name, values in part.columns.items():
        whole.columns[name][batch] = values
    for name, vectors in part.vectors.items():
        if name not in whole.vectors:
            whole.vectors[name] = np.empty((total, vectors.shape[1]), dtype=np.float32)
        whole.vectors[name][batch] = vectors
    for place, losses in zip(batch, part.token_losses, strict=bool(part.token_losses)):
        whole.token_losses[place] = losses


def check_examples(examples: Sequence[Example], measures: Collection[str] = ()) -> None:
    """Refuse records of which the measures say nothing.

    Args:
        examples: the records.
        measures: see `grads.signals.columns`.

    Raises:
        GradsError: it names the record.
    """
    for example in examples:
        if not predicted(example):
            raise GradsError(f"record {example.id} has no response token to learn from: remove it or fix its output")
        if "prompt" in measures and example.prompt_tokens < 2:
            raise GradsError(
                f"record {example.id} has a prompt of {example.prompt_tokens} tokens, none of which is predicted, "
                "so it has no prompt_nll: give it an instruction, or leave out the methods that need prompt_nll"
            )
