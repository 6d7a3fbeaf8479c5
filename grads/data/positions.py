"""Where in a batch tokens are predicted, and which ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grads.data.records.formatting import Example

if TYPE_CHECKING:
    from torch import Tensor


def predicted(example: Example) -> list[int]:
    """Return the positions of the response tokens that have a token before them, from which they are predicted."""
    return [position for position in example.response_positions if position > 0]


def spots(examples: Sequence[Example], row: int) -> "list[Tensor]":
    """Return the places from which each record's response tokens are predicted, in a flat batch of so long rows."""
    import torch

    return [torch.tensor(predicted(example)) - 1 + i * row for i, example in enumerate(examples)]


def following(ids: "Tensor", row: int) -> "Tensor":
    """Return the token after each place of a flat batch, whose rows have all of the batch's tokens or all but the last.

    What follows a row's last token is not there; the value at its place is the row's first token.

    Args:
        ids: batch x tokens.
        row: tokens, or one less.
    """
    return ids.roll(-1, dims=1)[:, :row].flatten()
