"""Batches under a token budget."""

from collections.abc import Sequence


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Return all indices, those of the longest sequences first; equal lengths keep their order."""
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


def next_batch(left: Sequence[int], lengths: Sequence[int], budget: int) -> list[int]:
    """Return the first of the indices that are left, longest first, as many as `budget` tokens hold with padding.

    A sequence longer than the budget makes a batch of its own.
    """
    # Lengths fall, so the first of a batch is its longest.
    return list(left[: max(1, budget // max(1, lengths[left[0]]))])


def token_budget_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return index batches, longest sequences first, each of at most `budget` tokens with its padding.

    A sequence longer than the budget makes a batch of its own. Equal lengths keep their order.
    """
    order = longest_first(lengths)
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        batches.append(next_batch(order[start : start + budget], lengths, budget))
        start += len(batches[-1])
    return batches
