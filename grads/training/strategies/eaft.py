"""`eaft`: tokens at which the model is sure of itself count less (entropy-adaptive fine-tuning).

A token's loss is (H / ln K)^power times its negative log-likelihood, with H the entropy of the K likeliest next tokens,
their probabilities scaled to a sum of 1, under the model as it is at that step. Where the model is sure, H is small: if
it is right there is little to learn, and if it is wrong the answer contradicts what it knows, which training would
overwrite. No gradient passes through the factor.

Certain: the factor with K = 20 and power 1 (arXiv 2601.02151, "Entropy-Adaptive Fine-Tuning: Resolving Confident
Conflicts to Mitigate Forgetting"); that the K probabilities are scaled, and that the sum is divided by the number of
tokens and not by that of the factors, is in LLaMA-Factory's code, which divides H by 3.0 where the paper has ln 20.

Ours: ln K exactly; where the vocabulary has fewer than K tokens, K is their number. A step's loss, and so the curve in
`training.json`, has the factors in it, and is not comparable with that of another strategy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from grads.training.strategies.contract import Batch, Parameters, Reference, Strategy

if TYPE_CHECKING:
    from torch import Tensor


class Eaft(Parameters):
    """Parameters of `eaft`."""

    likeliest: int = Field(20, ge=2, description="K: the entropy is that of so many next tokens.")
    power: float = Field(1.0, ge=0, description="The relative entropy is raised to it; 0 is plain training.")


def loss(batch: Batch, _reference: Reference, parameters: Eaft) -> Tensor:
    """Return each token's negative log-likelihood times the power of its relative entropy."""
    return relative_entropies(batch.logits.detach(), parameters.likeliest) ** parameters.power * batch.nll


def relative_entropies(logits: Tensor, likeliest: int) -> Tensor:
    """Return the entropy of the likeliest next tokens as a share of the largest that it can be, P numbers.

    Args:
        logits: P x vocabulary.
        likeliest: how many.
    """
    count = min(likeliest, logits.shape[-1])
    logs = logits.topk(count, dim=-1).values.log_softmax(dim=-1)
    return -(logs.exp() * logs).sum(dim=-1) / math.log(count)


STRATEGY = Strategy(
    name="eaft", title="Sure tokens weighted down (EAFT)", source="arXiv 2601.02151", parameters=Eaft, loss=loss
)
