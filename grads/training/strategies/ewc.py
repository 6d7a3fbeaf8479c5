"""`ewc`: weights that the base model's predictions hang on are held near to it (elastic weight consolidation).

To a step's loss is added coefficient / 2 times the sum over all trained weights of F (w - w0)^2: w0 are the base
model's weights, and F is the diagonal of the Fisher information of its answers to general instructions. A weight that
changes these answers little may move freely, where `l2_sp` holds all alike.

Certain: the penalty and its F, "Overcoming catastrophic forgetting in neural networks" (arXiv 1612.00796, equation 3).
F of a weight is the mean over examples of the squared derivative of the answer's log-likelihood.

Ours: the examples are `records` of the general instructions that `general.instructions` draws for training
strategies; the general text and the benchmarks measure forgetting, and nothing may be fitted to them. The answers are
those that the records have (the empirical Fisher information), not drawn from the model. F is estimated at w0, in
evaluation mode, a record at a time, before the first step; its seconds and operations are the run's. With an adapter,
w - w0 is the change s B A of a layer's weight and F is that of the frozen weight itself: the derivative is taken with
the adapter switched off, so that the penalty is that of training all of these weights. A penalty on A and B would be
another one: their own derivatives at the start are those of a random A and of B = 0. The coefficient of 1 has a
meaning: the penalty is the second-order estimate of how many nats a general answer has lost on average, next to the
mean loss of a token. F and, during a pass, w - w0 take 4 bytes each for every trained or adapted weight of the model.
A step's loss, and so the curve in `training.json`, includes the penalty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from grads.runtime.errors import GradsError
from grads.study.seeds import shuffled_ids
from grads.training.strategies.contract import Batch, Inputs, Needs, Parameters, Prepared, Reference, Strategy

if TYPE_CHECKING:
    from torch import Tensor

    from grads.data.records.formatting import Example


class Ewc(Parameters):
    """Parameters of `ewc`."""

    coefficient: float = Field(1.0, ge=0, description="Half of it times the weighted squared distance is added.")
    records: int = Field(64, ge=1, description="General instructions that the Fisher information is estimated from.")


def needs(_parameters: Ewc) -> Needs:
    """Return the need of the base model's weights and Fisher information."""
    return Needs(base_weights=True, fisher=True)


def prepare(examples: Mapping[str, Example], inputs: Inputs, parameters: Ewc) -> Prepared:
    """Draw the general records by the seed alone, so that all arms have the same.

    Raises:
        GradsError: there are too few.
    """
    if parameters.records > len(inputs.replay):
        raise GradsError(
            f"strategy 'ewc' estimates from {parameters.records} general records, and {len(inputs.replay)} are "
            "eligible: raise general.instructions.replay, or lower the parameter 'records'"
        )
    drawn = shuffled_ids(inputs.replay, inputs.seed)[: parameters.records]
    return Prepared(examples, general=[inputs.replay[id_] for id_ in drawn], notes={"general_records": len(drawn)})


def loss(batch: Batch, reference: Reference, parameters: Ewc) -> Tensor:
    """Return each token's negative log-likelihood, and the penalty with each: it is the same in their mean."""
    fisher = reference.fisher()
    distance = sum((fisher[name] * change.dense().square()).sum() for name, change in reference.changes().items())
    return batch.nll + parameters.coefficient / 2 * distance


STRATEGY = Strategy(
    name="ewc",
    title="Elastic weight consolidation (EWC)",
    source="arXiv 1612.00796, equation 3",
    parameters=Ewc,
    needs=needs,
    prepare=prepare,
    loss=loss,
)
