"""Facility location: records that stand for all, chosen greedily by their similarities."""

import heapq
import math

import numpy as np

# A squared distance below this share of the largest squared length is what rounding leaves of equal points.
EQUAL = 1e-6
# Decimals of a gain that count, in units of the largest first one.
DECIMALS = 7
# Records whose gains are computed at once.
BLOCK = 256


def similarities(points: np.ndarray, squares: bool = False) -> np.ndarray:
    """Return c - |x_i - x_j| of N x d points, or of the squares, N x N float32 and symmetric, c being the largest."""
    lengths = np.einsum("ij,ij->i", points, points)
    squared = points @ points.T
    squared *= -2
    squared += lengths[:, None]
    squared += lengths[None, :]
    np.fill_diagonal(squared, 0.0)
    # What is left of equal points is rounding.
    squared[squared < EQUAL * float(lengths.max(initial=0.0))] = 0.0
    distance = squared if squares else np.sqrt(squared, out=squared)
    return np.subtract(distance.max(initial=0.0), distance, out=distance)


class FacilityLocation:
    """Greedy maximisation of F(S) = sum over i of max over j in S of s(i, j), over the m records of a part.

    Args:
        similarity: m x m float32, of at least 0, the largest of each row on the diagonal.
    """

    def __init__(self, similarity: np.ndarray) -> None:
        self.similarity = similarity
        self.nearest = np.zeros(len(similarity), dtype=np.float32)
        alone = similarity.sum(axis=1, dtype=np.float64)
        self.unit = float(alone.max(initial=0.0)) or 1.0
        self.gain = np.round(alone / self.unit, DECIMALS)
        self.open = np.ones(len(similarity), dtype=bool)

    @property
    def share(self) -> float:
        """F of what is chosen, as a share of F of all records."""
        largest = float(self.similarity.diagonal().sum(dtype=np.float64))
        return float(self.nearest.sum(dtype=np.float64)) / largest if largest else 1.0

    def choose(self, count: int, draw: np.random.Generator | None = None, epsilon: float = 0.01) -> np.ndarray:
        """Return the positions of `count` records in the order of their choice, by lazy greedy, or by draws if given.

        `gain` is then what each brought as it was chosen, or would bring now, in units of the best record's alone.
        """
        chosen = self._lazily(count) if draw is None else self._by_draws(count, draw, epsilon)
        rest = np.flatnonzero(self.open)
        for part in np.array_split(rest, -(-len(rest) // BLOCK)) if len(rest) else ():
            self.gain[part] = self._gains(part)
        return np.array(chosen, dtype=int)

    def assigned(self, chosen: np.ndarray) -> np.ndarray:
        """Return for each record how many are nearest to it among the chosen; of equal ones the first chosen has it."""
        counts = np.zeros(len(self.similarity))
        counts[chosen] = np.bincount(self.similarity[:, chosen].argmax(axis=1), minlength=len(chosen))
        return counts

    def _lazily(self, count: int) -> list[int]:
        # Gains only fall, so a record whose old gain is below another's new one need not be looked at.
        heap = [(-gain, record, 0) for record, gain in enumerate(self.gain.tolist())]
        heapq.heapify(heap)
        chosen: list[int] = []
        while len(chosen) < count:
            negative, record, seen = heapq.heappop(heap)
            if seen == len(chosen):
                self._take(record, -negative)
                chosen.append(record)
            else:
                heapq.heappush(heap, (-float(self._gains(slice(record, record + 1))[0]), record, len(chosen)))
        return chosen

    def _by_draws(self, count: int, draw: np.random.Generator, epsilon: float) -> list[int]:
        size = math.ceil(len(self.open) / count * math.log(1 / epsilon)) if count else 0
        chosen: list[int] = []
        for _ in range(count):
            open_ = np.flatnonzero(self.open)
            drawn = np.sort(draw.choice(open_, min(size, len(open_)), replace=False))
            gains = np.concatenate([self._gains(drawn[start : start + BLOCK]) for start in range(0, len(drawn), BLOCK)])
            best = int(np.argmax(gains))
            self._take(int(drawn[best]), float(gains[best]))
            chosen.append(int(drawn[best]))
        return chosen

    def _take(self, record: int, gain: float) -> None:
        self.gain[record] = gain
        self.open[record] = False
        np.maximum(self.nearest, self.similarity[record], out=self.nearest)

    def _gains(self, records: np.ndarray | slice) -> np.ndarray:
        more = np.maximum(self.similarity[records] - self.nearest, 0).sum(axis=1, dtype=np.float64)
        return np.round(more / self.unit, DECIMALS)
