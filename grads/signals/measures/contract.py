"""What a signal declares: its name, what it becomes in a store, its formula, and how exact it is.

Read while the workflow is planned, so nothing heavy is imported here nor at the top of a signal's file. The signals
that are no formula over a single pass (statistics and projections of gradients, losses elsewhere than on the response)
are made by the pass itself, and named in `grads.signals.names`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Predictions:
    """P response tokens as the model predicts them, of some records one after the other. Nothing is to be changed.

    Args:
        targets: P; the ids of the tokens.
        losses: P, float32; their negative log-likelihoods in nats.
        at_logits: the errors; None unless the signal declares `errors=True`.
    """

    targets: Tensor
    losses: Tensor
    at_logits: Tensor | None = None

    @property
    def errors(self) -> Tensor:
        """The errors at the logits, probability - onehot: P x vocabulary, in the precision of the model.

        Raises:
            ValueError: the signal does not declare `errors=True`.
        """
        if self.at_logits is None:
            raise ValueError("the errors are not made: declare the signal with errors=True")
        return self.at_logits

    def probabilities(self) -> Tensor:
        """Return what the model predicts, P x vocabulary, float32, made by each call.

        Raises:
            ValueError: the signal does not declare `errors=True`.
        """
        # That of the target is exact also where it is near 1, and its error in the model's precision is 0.
        own = (-self.losses).exp().unsqueeze(1)
        return self.errors.float().scatter(1, self.targets.unsqueeze(1), own)


@dataclass(frozen=True)
class Places:
    """The tokens of N records in a batch of rows of W, padded on the right.

    Args:
        position: 1 x W; the place of a token in its record, from 1.
        prompt: N x 1; how many tokens a record's prompt has.
        length: N x 1; how many tokens a record has.
    """

    position: Tensor
    prompt: Tensor
    length: Tensor


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A signal's declaration, called `SIGNAL` in its file: one of the two classes below.

    Attributes:
        name: as methods, strategies and `grads probe --signals` ask for it.
        source: the publication and where in it, or that it is ours.
        tolerance: in bf16, how far a number may be from that of the same weights in float32, and from itself in another
            batch, relative to its size (`grads doctor --model` and tests hold it to that); None where it counts tokens,
            one of which may fall on either side of a limit.
    """

    name: str
    source: str
    tolerance: float | None


@dataclass(frozen=True, kw_only=True)
class TokenSignal(Signal):
    """A number for each response token; a record's is their mean.

    Attributes:
        column: what it is called in a store.
        of_tokens: makes P numbers, float32, of P predictions. A record's must not depend on the others.
        errors: whether it reads `Predictions.errors` or `probabilities`, which are then made.
    """

    column: str
    of_tokens: Callable[[Predictions], Tensor]
    errors: bool = False


@dataclass(frozen=True, kw_only=True)
class MeanSignal(Signal):
    """A vector, the mean of what the model makes of a record's tokens, as long as its hidden states; called as `name`.

    Attributes:
        states: of the input embedding, the layer `probe.hidden_layer`, or the LM head's inputs.
        weights: makes the weights of the tokens, broadcast to N x W, at least 0 and not all 0; they are divided by
            their sum, and those of padding are ignored. None: all tokens count alike.
    """

    states: Literal["embeddings", "layer", "last"]
    weights: Callable[[Places], Tensor] | None = None
