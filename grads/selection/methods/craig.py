"""`craig`: a weighted subset whose gradients stand for all, by facility location.

Chooses S of k records to make F(S) = sum over i of max over j in S of (c - |g_i - g_j|) large, with c the largest
distance: every record should have a chosen one with nearly its gradient. The greedy algorithm reaches at least 1 - 1/e
of the largest F. A chosen record's weight is the number of records that are nearest to it; the strategy `weighted`
trains with it. Weights differ much: `effective_records` in the notes, (sum of w)^2 / sum of w^2, says how many records
of equal weight they amount to.

Certain: function, greedy algorithm and weights (B. Mirzasoleiman, J. Bilmes and J. Leskovec, ICML 2020, arXiv
1906.01827, algorithm 1).

Ours:

- g: the projected gradients of the adapter after the preliminary epoch, once, where the paper takes those of the last
  layer again and again during training.
- |.|: the Euclidean distance, as in the paper and in apricot. The implementation that papers compare with (CORDS) takes
  its square, which `distance: squared` has: of a choice of 5 % the two had 60 to 80 % in common.
- Distances between all pairs take memory and time by the square of N, so the pool is cut into random parts (as PGM,
  arXiv 2210.16892, does for gradient matching), each of which gives its share, in the order of its choice: the first of
  every part, then the second. `partitions: 1` is the paper's.
- Lazy greedy (exact), or with `approximate` stochastic greedy (B. Mirzasoleiman et al., Lazier than lazy greedy, AAAI
  2015): each choice is the best of (m / k) ln(1 / epsilon) records drawn from the m of the part that are open.

The score is the gain in F that a record was chosen by, or would bring to its part at the end, as a share of F of the
part's record that stands best for it alone.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.selection.algorithms.partitions import Partitions
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import FeaturePoint

if TYPE_CHECKING:
    import numpy as np

# Records of a part at most, where `partitions` is `auto`: a matrix of 256 MiB.
PART = 8192
# A squared distance below this share of the largest squared length is what rounding leaves of equal points.
EQUAL = 1e-6
# Decimals of a gain that count, in units of the largest first one.
DECIMALS = 7
# Records whose gains are computed at once.
BLOCK = 256


class Craig(Parameters):
    """Parameters of `craig`; the defaults are ours."""

    point: FeaturePoint = Field("warm", description="Whose gradients: after the preliminary epoch, or untrained.")
    partitions: Partitions = Field("auto", description=f"Parts of the pool; auto: of {PART} records and 1 GiB at most.")
    distance: Literal["euclidean", "squared"] = Field(
        "euclidean", description="Distance between gradients, or its square as in CORDS."
    )
    approximate: bool = Field(False, description="Whether each choice is the best of a random draw, not of all.")
    epsilon: float = Field(0.01, gt=0, lt=1, description="Of the approximate form: it reaches 1 - 1/e - epsilon.")


def needs(parameters: Craig) -> Needs:
    """Return the need of the gradients."""
    return Needs({parameters.point: frozenset({"sgd_features"})})


def in_parts(parameters: Craig) -> bool:
    """Return whether no part's gradients are larger than `within_memory` allows."""
    return parameters.partitions == "auto"


def select(inputs: Inputs, parameters: Craig) -> Choice:
    """Choose greedily in each part."""
    import numpy as np

    from grads.selection.algorithms.partitions import interleaved, partition, quotas, within_memory

    vectors = inputs.features[parameters.point]["sgd_features"]
    ids = inputs.pool["id"].tolist()
    parts = partition(ids, inputs.count, parameters.partitions, within_memory(PART, vectors), inputs.seed)
    score = np.zeros(len(ids))
    weights = np.zeros(len(ids))
    orders = []
    reached = []
    for number, (part, count) in enumerate(zip(parts, quotas(inputs.count, parts), strict=True)):
        draw = np.random.default_rng((inputs.seed, number)) if parameters.approximate else None
        found = FacilityLocation(similarities(vectors[part], parameters.distance == "squared"))
        chosen = found.choose(count, draw, parameters.epsilon)
        score[part] = found.gain
        weights[part] = found.assigned(chosen)
        orders.append(part[chosen])
        reached.append(found.share)
    notes = {"partitions": len(parts), "share_of_largest_objective": round(float(np.mean(reached)), 6)}
    return Choice(score, interleaved(orders), notes, weights)


def similarities(points: np.ndarray, squares: bool = False) -> np.ndarray:
    """Return c - |x_i - x_j| of N x d points, or of the squares, N x N float32 and symmetric, c being the largest."""
    import numpy as np

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
        import numpy as np

        self.similarity = similarity
        self.nearest = np.zeros(len(similarity), dtype=np.float32)
        alone = similarity.sum(axis=1, dtype=np.float64)
        self.unit = float(alone.max(initial=0.0)) or 1.0
        self.gain = np.round(alone / self.unit, DECIMALS)
        self.open = np.ones(len(similarity), dtype=bool)

    @property
    def share(self) -> float:
        """F of what is chosen, as a share of F of all records."""
        import numpy as np

        largest = float(self.similarity.diagonal().sum(dtype=np.float64))
        return float(self.nearest.sum(dtype=np.float64)) / largest if largest else 1.0

    def choose(self, count: int, draw: np.random.Generator | None, epsilon: float) -> np.ndarray:
        """Return the positions of `count` records in the order of their choice, by lazy greedy, or by draws if given.

        `gain` is then what each brought as it was chosen, or would bring now, in units of the best record's alone.
        """
        import numpy as np

        chosen = self._lazily(count) if draw is None else self._by_draws(count, draw, epsilon)
        rest = np.flatnonzero(self.open)
        for part in np.array_split(rest, -(-len(rest) // BLOCK)) if len(rest) else ():
            self.gain[part] = self._gains(part)
        return np.array(chosen, dtype=int)

    def assigned(self, chosen: np.ndarray) -> np.ndarray:
        """Return for each record how many are nearest to it among the chosen; of equal ones the first chosen has it."""
        import numpy as np

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
        import numpy as np

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
        import numpy as np

        self.gain[record] = gain
        self.open[record] = False
        np.maximum(self.nearest, self.similarity[record], out=self.nearest)

    def _gains(self, records: np.ndarray | slice) -> np.ndarray:
        import numpy as np

        more = np.maximum(self.similarity[records] - self.nearest, 0).sum(axis=1, dtype=np.float64)
        return np.round(more / self.unit, DECIMALS)


# A pool of several parts gives each its share of the number asked for, so that a smaller number begins otherwise.
METHOD = Method(
    name="craig",
    title="CRAIG",
    source="arXiv 1906.01827, algorithm 1",
    select=select,
    parameters=Craig,
    needs=needs,
    nested=False,
    in_parts=in_parts,
)
