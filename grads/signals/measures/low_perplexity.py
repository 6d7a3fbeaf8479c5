"""`low_perplexity`: the share of response tokens that the model finds predictable."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from grads.signals.measures.contract import Predictions, TokenSignal

if TYPE_CHECKING:
    from torch import Tensor

# A token with no more perplexity than this is called predictable.
LIMIT = 2.5


def predictable(predictions: Predictions) -> Tensor:
    """Return 1 for each predictable token and 0 for the others, P."""
    return (predictions.losses <= math.log(LIMIT)).float()


SIGNAL = TokenSignal(
    name="low_perplexity",
    source="STM, arXiv 2501.14315: its threshold",
    tolerance=None,
    column="low_ppl_fraction",
    of_tokens=predictable,
)
