"""`el2n`: the mean length of the error p - onehot over the response's tokens, p the predicted probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.signals.measures.contract import Predictions, TokenSignal

if TYPE_CHECKING:
    from torch import Tensor


def lengths(predictions: Predictions) -> Tensor:
    """Return the l2 norm of each token's error, P."""
    import torch

    return torch.linalg.vector_norm(predictions.errors, dim=1, dtype=torch.float32)


SIGNAL = TokenSignal(
    name="el2n",
    source="M. Paul et al., arXiv 2107.07075, with tokens for examples",
    tolerance=0.005,
    column="el2n",
    of_tokens=lengths,
    errors=True,
)
