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

from grads.models.causal import soft_cap, unwrap

# Logits held at once, positions x vocabulary, by kind of device. A GPU waits once for each such group.
MOST_LOGITS = {"cpu": 2**25, "cuda": 2**27}
# Float32 logits that a CPU's cache holds while their softmax is made: 4 MiB.
CACHED = 2**20


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
        return cls(layer.weight.detach(), layer.bias, soft_cap(core))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return R x V logits of R x d inputs, in their type."""
        found = nn.functional.linear(hidden, self.weight, self.bias)
        return found if self.cap is None else torch.tanh(found / self.cap) * self.cap

    def losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return R negative log-likelihoods in nats, float32: hidden R x d, targets R."""
        parts = zip(*(t.split(self.rows) for t in (hidden, targets)), strict=True)
        return torch.cat([_losses(self.logits(states), wanted, None) for states, wanted in parts])

    @property
    def rows(self) -> int:
        """Positions whose logits are held at once."""
        most = MOST_LOGITS.get(self.weight.device.type, MOST_LOGITS["cpu"])
        return max(1, most // self.weight.shape[0])

    def errors(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return losses (R, nats, float32), and errors at the logits and at the head's output z (R x V).

        Hidden is R x d, and errors have its type. Each is that of the token's own loss, not divided by the number of
        the record's tokens: softmax - onehot at the logits; at z, where logits = cap tanh(z / cap), that times the
        slope 1 - (logits / cap)^2.
        """
        logits = self.logits(hidden)
        # Without a cap nobody needs the logits afterwards, and the errors take their place.
        errors = logits if self.cap is None else torch.empty_like(logits)
        losses = _losses(logits, targets, errors)
        # The target's error, p - 1, is exact also where p rounds to 1.
        errors.scatter_(1, targets.unsqueeze(1), torch.expm1(-losses).to(errors.dtype).unsqueeze(1))
        if self.cap is None:
            return losses, errors, errors
        return losses, errors, errors * (1.0 - (logits / self.cap).square())


def _losses(logits: Tensor, targets: Tensor, probabilities: Tensor | None) -> Tensor:
    """Return the losses of R x V logits, R in float32, and write the probabilities, which may be the logits' memory.

    On a CPU a few rows at a time, so that what is made of them stays in its cache.
    """
    rows = max(1, CACHED // logits.shape[1]) if logits.device.type == "cpu" else max(1, len(logits))
    found = []
    for first in range(0, len(logits), rows):
        here = slice(first, first + rows)
        shifted = logits[here].to(torch.float32, copy=True)
        shifted -= shifted.amax(dim=1, keepdim=True)
        own = shifted.gather(1, targets[here].unsqueeze(1))
        total = shifted.exp_().sum(dim=1, keepdim=True)
        found.append((total.log() - own).squeeze(1))
        if probabilities is not None:
            probabilities[here] = shifted.div_(total)
    return torch.cat(found) if found else logits.new_zeros(0, dtype=torch.float32)


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
