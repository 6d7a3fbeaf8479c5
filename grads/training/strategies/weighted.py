"""`weighted`: each record counts in the loss as much as the selection method says.

GRAD-MATCH (arXiv 2103.00123) and CRAIG (arXiv 1906.01827) choose records together with weights under which their
gradients stand for those of the whole pool. The selection stores them with a mean of 1 over the kept records; every
response token of a record has its record's weight, and a step's loss is the weighted mean over its tokens. What is
ours: the mean is taken over each step by itself, so that weights set the records of a step against each other and do
not change how much a step counts; with one record a step they would do nothing, which is refused. A record of weight 0
is left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grads.config.training import Training
from grads.training.record_weights import refuse_steps_of_one, weighed
from grads.training.strategies.contract import Inputs, Needs, Parameters, Prepared, Strategy

if TYPE_CHECKING:
    from grads.data.records.formatting import Example


def needs(_parameters: Parameters) -> Needs:
    """Return the need of the selection's weights."""
    return Needs(weights=True)


def settings(training: Training, _parameters: Parameters) -> Training:
    """Return the settings as they are.

    Raises:
        GradsError: every step has one record, whose weight would do nothing.
    """
    return refuse_steps_of_one("weighted", training)


def prepare(examples: Mapping[str, Example], inputs: Inputs, _parameters: Parameters) -> Prepared:
    """Give every token its record's weight."""
    return weighed(examples, inputs.weights)


STRATEGY = Strategy(
    name="weighted",
    title="Weighted records",
    source="arXiv 2103.00123 (GRAD-MATCH), arXiv 1906.01827 (CRAIG)",
    needs=needs,
    settings=settings,
    prepare=prepare,
)
