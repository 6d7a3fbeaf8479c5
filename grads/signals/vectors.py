"""Vectors of records: directions in half precision, which may lie on disk, and their lengths.

Half precision has no number between 0 and 6e-8, so a gradient as such would be lost in it. Entries of a direction of
length 1 are not: each is kept to 2^-11 of itself, or to 3e-8 where it is small. Where that is too little, directions
are kept in single precision.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

# Entries that are held at once where all vectors are gone through.
CHUNK = 2**24


def split_lengths(vectors: np.ndarray, dtype: type[np.floating[Any]] = np.float16) -> tuple[np.ndarray, np.ndarray]:
    """Return directions (N x d of a type, of length 1, or 0 as the vector) and l2 norms (N float64) of N x d vectors.

    Where a vector is not finite, its norm is not.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    usable = np.where((norms > 0) & np.isfinite(norms), norms, 1.0)
    return np.nan_to_num(vectors / usable[:, None], posinf=0.0, neginf=0.0).astype(dtype), norms


class Vectors:
    """N x d vectors that become float32 where they are read: `vectors[rows]`, or all by `np.asarray(vectors)`.

    Args:
        directions: M x d, in an array or a memory map.
        norms: M l2 norms; None: all are 1.
        rows: N positions, in the order in which they count; None: all, as they are.
    """

    def __init__(
        self, directions: np.ndarray, norms: np.ndarray | None = None, rows: Sequence[int] | np.ndarray | None = None
    ) -> None:
        self.directions = directions
        self.norms = norms
        self.rows = np.arange(len(directions)) if rows is None else np.asarray(rows, dtype=np.int64)

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """N and d."""
        return len(self), self.directions.shape[1]

    @property
    def unit(self) -> "Vectors":
        """The same vectors, each of length 1."""
        return Vectors(self.directions, None, self.rows)

    def ordered(self, rows: Sequence[int] | np.ndarray) -> "Vectors":
        """Return the vectors at some positions, in that order; nothing is read."""
        return Vectors(self.directions, self.norms, self.rows[np.asarray(rows, dtype=np.int64)])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return n x d float32 of a slice or an array of positions."""
        chosen = self.rows[rows]
        # Indexing by an array makes a copy, which may be scaled in place.
        found = np.asarray(self.directions[chosen], dtype=np.float32)
        if self.norms is not None:
            found *= self.norms[chosen, None].astype(np.float32)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all of them as N x d float32."""
        return self[:] if dtype is None else self[:].astype(dtype)

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield all rows in order, n x d float32 at a time."""
        step = max(1, CHUNK // max(1, self.directions.shape[1]))
        for start in range(0, len(self), step):
            yield self[start : start + step]

    def mean(self) -> np.ndarray:
        """Return the mean of the rows, d float64: of gradients, the gradient of the records' mean loss.

        Raises:
            ValueError: there are none.
        """
        if not len(self):
            raise ValueError("there are no vectors to take the mean of")
        total = np.zeros(self.directions.shape[1])
        for chunk in self.chunks():
            total += chunk.sum(axis=0, dtype=np.float64)
        return total / len(self)
