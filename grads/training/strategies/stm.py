"""`stm`: selective token masking; response tokens that the untuned model finds unlikely carry no loss.

What is left is the low-perplexity token learning that the paper is named after.

A token's perplexity is exp(-log p(token | all before it)) under the model that is tuned, before it is tuned; where it
is above the threshold, 2.5 in the paper, the token is left in the context and out of the loss. The losses are those of
the store `base`, so all records of a study are measured once. A step's loss is the mean over the tokens that are left.

The authors' code gives a sequence's first token, which nothing precedes, a perplexity of 10, so that it is masked; here
such a token never carries loss. Everything else of a response is judged by its own perplexity, the answer's first token
and the end of turn included. What is ours: a record whose tokens are all masked is dropped and counted, instead of
taking a place in a step; so is one that the probe left out because its losses were no numbers. The authors train with
DoRA and 8-bit AdamW; here the study's training settings hold for every strategy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from grads.study.paths import BASE
from grads.training.strategies.contract import Inputs, Needs, Parameters, Prepared, Strategy
from grads.training.token_losses import TokenLosses

if TYPE_CHECKING:
    from grads.data.records.formatting import Example


class Masking(Parameters):
    """Parameters of `stm`."""

    threshold: float = Field(2.5, gt=1, description="Tokens of a higher perplexity under the untuned model are masked.")


def needs(_parameters: Masking) -> Needs:
    """Return the need of each response token's loss under the untuned model."""
    return Needs({BASE: frozenset({"token_losses"})})


def prepare(examples: Mapping[str, Example], inputs: Inputs, parameters: Masking) -> Prepared:
    """Mask the unlikely tokens, and leave out what has no other."""
    losses = TokenLosses(inputs, BASE)
    most = math.log(parameters.threshold)
    kept: dict[str, Example] = {}
    weights: dict[str, list[float]] = {}
    tokens = masked = dropped = unmeasured = 0
    for id_, example in examples.items():
        if id_ in losses.left_out:
            unmeasured += 1
            continue
        # What nothing precedes has no loss, and is not at most any.
        counts = (losses.of(example) <= most).astype(float).tolist()
        tokens = tokens + len(counts)
        masked = masked + counts.count(0.0)
        if any(counts):
            kept[id_] = example
            weights[id_] = counts
        else:
            dropped += 1
    notes = {"response_tokens": tokens, "masked_tokens": masked, "records_all_masked": dropped}
    return Prepared(kept, weights, notes | {"records_unmeasured": unmeasured})


STRATEGY = Strategy(
    name="stm",
    title="Selective token masking",
    source="arXiv 2501.14315, and its code @5ea67bd",
    parameters=Masking,
    needs=needs,
    prepare=prepare,
)
