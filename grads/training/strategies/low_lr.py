"""`low_lr`: the study's training at a fraction of its learning rate.

A control for whatever forgets less: the authors of STM (arXiv 2501.14315) report that a lower rate alone removes most
of the forgetting of plain fine-tuning, at some cost in what is learnt. The tenth is ours; schedule, steps and all else
stay. An arm's own `training: {learning_rate: ...}` does the same with a rate in place of a factor.
"""

from pydantic import Field

from grads.config.training import Training
from grads.training.strategies.contract import Parameters, Strategy


class LowRate(Parameters):
    """Parameters of `low_lr`."""

    factor: float = Field(0.1, gt=0, le=1, description="The peak learning rate is multiplied by it.")


def settings(training: Training, parameters: LowRate) -> Training:
    """Return the settings with the lower rate."""
    return training.model_copy(update={"learning_rate": training.learning_rate * parameters.factor})


STRATEGY = Strategy(
    name="low_lr", title="Low learning rate", source="control; arXiv 2501.14315", parameters=LowRate, settings=settings
)
