"""What evaluation asks of an engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Continuation:
    """Tokens whose log-probability is asked for, and those before them."""

    before: list[int]
    tokens: list[int]

    @property
    def sequence(self) -> list[int]:
        """What a model reads of it: all but its last token, which predicts nothing."""
        return (self.before + self.tokens)[:-1]


@dataclass(frozen=True, slots=True)
class Score:
    """The log-probability of a continuation in nats, and whether each of its tokens is the likeliest."""

    log_probability: float
    greedy: bool


Visit = Callable[[int, Tensor], None]
Advance = Callable[[], None]


class Engine(Protocol):
    """Runs one model, with or without an adapter, for all parts of an evaluation."""

    @property
    def model(self) -> nn.Module:
        """The model, in evaluation mode."""

    def states(self, sequences: Sequence[list[int]], firsts: Sequence[int], visit: Visit) -> None:
        """Call `visit(index, states)` for every sequence, in any order.

        `states` is tokens x width: row k stands one position before token `firsts[index] + k`, and predicts it.
        """

    def answers(
        self, prompts: Sequence[list[int]], limit: int, ends: Sequence[int], advance: Advance
    ) -> list[list[int]]:
        """Return the greedy continuation of each prompt; what follows the first end token in it is padding.

        Args:
            prompts: token ids.
            limit: most tokens of an answer.
            ends: tokens that end one.
            advance: called for each answer that is done.
        """

    def record(self) -> dict[str, Any]:
        """Return what results say of it, as JSON values: its `name`, and what it could not do as asked."""
