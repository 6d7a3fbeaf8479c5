"""`dropout`: the inputs of the LoRA adapter are dropped at random in training.

Small subsets are repeated more often, and "To Repeat or Not To Repeat" (arXiv 2305.13230) finds dropout to be the
regulariser that helps against repetition, when T5 is pre-trained with all its weights. Here it is the adapter's inputs
that are dropped, and the rate is ours; models of today are trained without dropout and have none to set, so where all
weights are trained the strategy is refused.

The paper's comparison, few data again and again against as many tokens that are new, is two arms with one budget:

```yaml
arms:
  full: {method: full}
  repeated: {method: random, ratios: [0.05], match: tokens}
  repeated_dropout: {method: random, ratios: [0.05], match: tokens, strategy: dropout}
```

`match: tokens` repeats what is kept until it has the tokens of the run on all records.
"""

from pydantic import Field

from grads.config.training import Training
from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Parameters, Strategy


class Dropout(Parameters):
    """Parameters of `dropout`."""

    rate: float = Field(0.1, gt=0, lt=1, description="Share of the adapter's inputs that is dropped.")


def settings(training: Training, parameters: Dropout) -> Training:
    """Return the settings with dropout in the adapter.

    Raises:
        GradsError: there is no adapter.
    """
    if training.weights != "lora":
        raise GradsError(
            "strategy 'dropout' drops inputs of an adapter, and training.weights is 'full': set it to lora"
        )
    adapter = training.adapter.model_copy(update={"dropout": parameters.rate})
    return training.model_copy(update={"adapter": adapter})


STRATEGY = Strategy(
    name="dropout", title="Adapter dropout", source="arXiv 2305.13230, dropout", parameters=Dropout, settings=settings
)
