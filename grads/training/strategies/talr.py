"""`talr`: tokens that the model in training finds unlikely count less (token-adaptive loss reweighting).

A token's loss is max(exp(-l / tau), floor) times l, its negative log-likelihood under the model as it is at that step.
tau is the mean loss of the tokens of its record at that step, so that the weights follow what is learnt: what is hard
at first counts once the rest is easy. No gradient passes through the weight.

Certain: weights proportional to p(token)^(1 / tau), which is exp(-l / tau), by the model in training,
with tau from the batch's own losses (arXiv 2509.20758, "SFT Doesn't Always Hurt General Capabilities"; of it abstract
and others' summaries were read, not the full text).

Ours: tau is the record's own mean loss, where the summaries have the median of these means over a batch: a record's
loss here must not depend on those that it shares a batch with, which are the machine's choice. So tokens are set
against others of their record, and not records against each other; that is what `flow` does. Also ours is the floor,
without which a token of a high loss would never be learnt; and that the sum is divided by the number of tokens, not by
that of the weights. A step's loss, and so the curve in `training.json`, has the weights in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.training.strategies.contract import Batch, Parameters, Reference, Strategy

if TYPE_CHECKING:
    from torch import Tensor

# A record whose every token is certain has a mean loss of 0.
LEAST = 1e-6


class Talr(Parameters):
    """Parameters of `talr`."""

    temperature: float = Field(1.0, gt=0, description="tau as a multiple of the record's mean loss.")
    floor: float = Field(0.01, ge=0, le=1, description="No weight is smaller; 1 is plain training.")


def loss(batch: Batch, _reference: Reference, parameters: Talr) -> Tensor:
    """Return each token's negative log-likelihood times its weight."""
    losses = batch.nll
    tau = parameters.temperature * record_means(losses.detach(), batch.records)
    return (-losses.detach() / tau.clamp(min=LEAST)).exp().clamp(min=parameters.floor) * losses


def record_means(losses: Tensor, records: Tensor) -> Tensor:
    """Return for each prediction the mean loss of its record's predictions, P numbers.

    Args:
        losses: P.
        records: P; the record that each is of.
    """
    count = int(records.max()) + 1
    sums = losses.new_zeros(count).index_add(0, records, losses)
    sizes = losses.new_zeros(count).index_add(0, records, losses.new_ones(len(losses)))
    return (sums / sizes.clamp(min=1))[records]


STRATEGY = Strategy(
    name="talr",
    title="Unlikely tokens weighted down (TALR)",
    source="arXiv 2509.20758, its abstract and summaries",
    parameters=Talr,
    loss=loss,
)
