"""`l2_sp`: supervised fine-tuning with weights held near to the base model's (L2-SP, "starting point").

To a step's loss is added alpha / 2 times the squared Euclidean distance of all trained weights w from w0, those of the
base model; its gradient is alpha (w - w0).

Certain: that is the paper's penalty (arXiv 1802.01483), which it recommends over plain weight decay, whose centre is 0,
as the baseline of transfer learning. Its second part, plain decay of layers that are new in the target task, has
nothing to act on in a language model that keeps its head.

Ours: with an adapter, w - w0 is the change s B A that it makes to a layer's weight, so that alpha says the same with an
adapter and with all weights. A penalty on A and B would be another one: A starts at random, far from 0, and many pairs
make the same weight. The default of alpha is ours, as the papers' are of networks for images. The penalty is part of
the loss, so AdamW scales its gradient as it does the rest (the paper trains by SGD) and `training.max_grad_norm` cuts
them together; `training.weight_decay`, 0 unless set, stays what it is. w0 is the untuned model, also under
`start: warm`. A step's loss, and so the curve in `training.json`, includes the penalty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.training.strategies.contract import Batch, Needs, Parameters, Reference, Strategy

if TYPE_CHECKING:
    from torch import Tensor


class L2Sp(Parameters):
    """Parameters of `l2_sp`."""

    alpha: float = Field(0.01, ge=0, description="Half of it times the squared distance from the base is added.")


def needs(_parameters: L2Sp) -> Needs:
    """Return the need of the base model's weights."""
    return Needs(base_weights=True)


def loss(batch: Batch, reference: Reference, parameters: L2Sp) -> Tensor:
    """Return each token's negative log-likelihood, and the penalty with each: it is the same in their mean."""
    distance = sum(change.squared_norm() for change in reference.changes().values())
    return batch.nll + parameters.alpha / 2 * distance


STRATEGY = Strategy(
    name="l2_sp",
    title="Weights near the base (L2-SP)",
    source="arXiv 1802.01483, L2-SP",
    parameters=L2Sp,
    needs=needs,
    loss=loss,
)
