"""Parts of a pool that a method chooses from one by one, where the whole would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from grads.study.seeds import own_seed, shuffled_ids

if TYPE_CHECKING:
    import numpy as np

    from grads.signals.vectors import Vectors

# Records of a part at most where all pairs are compared: a matrix of 256 MiB.
PART = 8192
# Bytes of a part's vectors in single precision at most, where `partitions` is `auto`.
MEMORY = 2**30

Partitions = Annotated[int, Field(ge=1)] | Literal["auto"]


def partition(ids: Sequence[str], count: int, partitions: Partitions, size: int, seed: int) -> list[np.ndarray]:
    """Return the positions of N records in random parts whose sizes differ by one at most, in ascending order.

    A draw by seed and id, as in PGM (arXiv 2210.16892). Never more parts than records to choose, so that every part
    gives one.

    Args:
        ids: of the N records.
        count: how many records will be chosen, at least 1.
        partitions: how many parts, or `auto`: as few as keep each at `size` records at most.
        size: what `auto` aims at.
        seed: of the draw.
    """
    import numpy as np

    wanted = -(-len(ids) // size) if partitions == "auto" else partitions
    wanted = max(1, min(wanted, count, len(ids)))
    if wanted == 1:
        return [np.arange(len(ids))]
    place = {id_: position for position, id_ in enumerate(ids)}
    drawn = np.array([place[id_] for id_ in shuffled_ids(ids, own_seed(seed, "partitions"))])
    return [np.sort(drawn[start::wanted]) for start in range(wanted)]


def within_memory(size: int, vectors: Vectors) -> int:
    """Return how many records a part has at most: `size`, or fewer where their N x d vectors would take 1 GiB."""
    return max(1, min(size, MEMORY // (4 * vectors.shape[1])))


def quotas(count: int, parts: Sequence[np.ndarray]) -> list[int]:
    """Return how many of `count` records each part gives: its share, the largest remainders rounded up.

    Parts with equal remainders go by their order. A part is never asked for more than it holds.
    """
    import numpy as np

    sizes = np.array([len(part) for part in parts])
    exact = count * sizes
    given = exact // sizes.sum()
    remainders = exact - given * sizes.sum()
    given[np.argsort(-remainders, kind="stable")[: count - int(given.sum())]] += 1
    return [int(number) for number in given]


def interleaved(orders: Sequence[np.ndarray]) -> np.ndarray:
    """Return the first of every part, then the second of every part, and so on."""
    import numpy as np

    rounds = zip_longest(*(order.tolist() for order in orders))
    return np.array([position for round_ in rounds for position in round_ if position is not None], dtype=int)
