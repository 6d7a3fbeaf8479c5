"""The LM head, forward and backward, at the positions that carry loss only, a few records at a time.

The loss of a record is the mean negative log-likelihood of its response tokens. With e = softmax - onehot the error of
a token and h the head's input, a row a token, the gradient of the head's weights is G = e^T h / T, T the number of
tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grads.models.causal import unwrap

# Logits held at once, positions x vocabulary.
MOST_LOGITS = 2**25
# A token with no more perplexity than this is called predictable (STM, arXiv 2501.14315: its threshold).
LOW_PERPLEXITY = 2.5


@dataclass(frozen=True)
class Head:
    """A model's LM head: weights V x d, bias, and the soft-capping that some models apply to logits."""

    weight: Tensor
    bias: Tensor | None
    cap: float | None

    @classmethod
    def of(cls, model: nn.Module) -> "Head":
        """Return the head of a causal language model."""
        core: Any = unwrap(model)
        layer = core.get_output_embeddings()
        return cls(layer.weight.detach(), layer.bias, getattr(core.config, "final_logit_softcapping", None))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return R x V logits of R x d inputs, in their type."""
        found = nn.functional.linear(hidden, self.weight, self.bias)
        return found if self.cap is None else torch.tanh(found / self.cap) * self.cap

    def losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return R negative log-likelihoods in nats, float32: hidden R x d, targets R."""
        parts = zip(*(t.split(self.rows) for t in (hidden, targets)), strict=True)
        return torch.cat([_losses(_log_probabilities(self.logits(h)), t) for h, t in parts])

    @property
    def rows(self) -> int:
        """Positions whose logits are held at once."""
        return max(1, MOST_LOGITS // self.weight.shape[0])

    def errors(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return losses (R, nats, float32), softmax - onehot and logits (R x V, in the type of hidden, which is R x d).

        Each error is that of the token's own loss, not divided by the number of the record's tokens.
        """
        logits = self.logits(hidden)
        found = _log_probabilities(logits)
        losses = _losses(found, targets)
        # The target's error, p - 1, is exact also where p rounds to 1.
        own = torch.expm1(-losses).to(hidden.dtype)
        return losses, found.exp_().to(hidden.dtype).scatter_(1, targets.unsqueeze(1), own.unsqueeze(1)), logits

    def below_cap(self, errors: Tensor, logits: Tensor) -> Tensor:
        """Return the errors at the head's output z: logits = cap tanh(z / cap) have the slope 1 - (logits / cap)^2."""
        return errors if self.cap is None else errors * (1.0 - (logits / self.cap).square())


def _log_probabilities(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits, dim=-1, dtype=torch.float32)


def _losses(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    return -log_probabilities.gather(1, targets.unsqueeze(1)).squeeze(1)


def groups(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Return consecutive indices in groups of at most `most` positions, or of one record that has more."""
    found: list[list[int]] = []
    held = 0
    for index, size in enumerate(sizes):
        if found and held + size <= most:
            found[-1].append(index)
            held += size
        else:
            found.append([index])
            held = size
    return found
