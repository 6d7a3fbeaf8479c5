"""Batches under a token budget."""

from collections.abc import Sequence

# A batch of so many tokens keeps a device busy: from here on one is closed early where its padding would become more
# than this share of it.
ENOUGH = 512
MOST_PADDING = 1 / 32


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Return all indices, those of the longest sequences first; equal lengths keep their order."""
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


def next_batch(left: Sequence[int], lengths: Sequence[int], budget: int, tight: bool = False) -> list[int]:
    """Return the first of the indices that are left, longest first, as many as `budget` tokens hold with padding.

    A sequence longer than the budget makes a batch of its own. A `tight` batch ends before its padding is more than a
    `MOST_PADDING` of it, once it has `ENOUGH` tokens.
    """
    # Lengths fall, so the first of a batch is its longest.
    longest = max(1, lengths[left[0]])
    most = max(1, budget // longest)
    if not tight:
        return list(left[:most])
    real = 0
    for count, index in enumerate(left[:most], start=1):
        real += lengths[index]
        if (count - 1) * longest >= ENOUGH and count * longest - real > MOST_PADDING * count * longest:
            return list(left[: count - 1])
    return list(left[:most])


def token_budget_batches(lengths: Sequence[int], budget: int, tight: bool = False) -> list[list[int]]:
    """Return index batches, longest sequences first, each of at most `budget` tokens with its padding.

    A sequence longer than the budget makes a batch of its own. Equal lengths keep their order. For `tight` see
    `next_batch`.
    """
    order = longest_first(lengths)
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        batches.append(next_batch(order[start : start + budget], lengths, budget, tight))
        start += len(batches[-1])
    return batches
