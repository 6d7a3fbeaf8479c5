"""Measuring many records: batches under a token budget, longest records first."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from torch import nn

from grads.data.batches import longest_first
from grads.data.formatting import Example
from grads.models.causal import context_length
from grads.probe.budget import Budget
from grads.probe.measures import columns
from grads.probe.passes import Measured, Pass
from grads.probe.positions import predicted
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress


def measure(
    model: nn.Module,
    examples: Sequence[Example],
    measures: Collection[str],
    token_budget: int,
    padding: int,
    progress: Progress | None = None,
    **options: Any,
) -> Measured:
    """Return what the measures say of each record, in order, all in memory.

    Args:
        model: a causal language model, with or without a PEFT adapter, which stays active as a low-rank path.
        examples: each with at least one response token.
        measures: see `grads.study.measures`.
        token_budget: most tokens in one batch, padding included; lowered where memory runs out.
        padding: any token id, to fill the batches.
        progress: told how many records are done.
        options: the others of `Pass`.

    Raises:
        GradsError: see `check_examples`; or the model does more than is known here.
    """
    check_examples(examples, measures, context_length(model))
    whole = Measured({name: np.empty(len(examples)) for name in columns(measures)})
    whole.token_losses = [np.empty(0)] * len(examples) if "token_losses" in measures else []
    if not examples:
        return whole
    with Pass(model, measures, padding, **options).ready(examples[0]) as ready:
        for batch, part in each_batch(ready, examples, Budget(token_budget)):
            _put(whole, batch, part, len(examples))
            if progress is not None:
                progress.advance(len(batch))
    return whole


def each_batch(ready: Pass, examples: Sequence[Example], budget: Budget) -> Iterator[tuple[list[int], Measured]]:
    """Yield the places of a batch's records and what was measured of them, until all are done.

    Whatever the budget does on the way, the records that are left are the longest first, so that going on with them
    later gives the same batches.
    """
    lengths = [len(example.input_ids) for example in examples]
    order, done = longest_first(lengths), 0
    while done < len(order):
        batch = budget.batch(order[done : done + budget.tokens], lengths)
        chosen = [examples[place] for place in batch]
        found = budget.attempt(chosen, lambda: ready.measure(chosen))  # noqa: B023 - called at once
        if found is not None:
            done += len(batch)
            yield batch, found


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


def check_examples(examples: Sequence[Example], measures: Collection[str] = (), longest: int | None = None) -> None:
    """Refuse records of which the measures say nothing, or that the model was not made for.

    Args:
        examples: the records.
        measures: see `grads.probe.measures`.
        longest: tokens of the model's context, if it has a limit.

    Raises:
        GradsError: it names the record.
    """
    for example in examples:
        tokens = len(example.input_ids)
        if not predicted(example):
            raise GradsError(f"record {example.id} has no response token to learn from: remove it or mend its output")
        if "prompt" in measures and example.prompt_tokens < 2:
            raise GradsError(
                f"record {example.id} has a prompt of {example.prompt_tokens} tokens, none of which is predicted, "
                "so it has no prompt_nll: give it an instruction, or leave out the methods that need prompt_nll"
            )
        if longest is not None and tokens > longest:
            raise GradsError(
                f"record {example.id} has {tokens} tokens and the model's context {longest}: set "
                f"training.max_length to at most {longest}"
            )
