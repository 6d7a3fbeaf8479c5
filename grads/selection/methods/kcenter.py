"""`kcenter`: a subset that leaves no record far from a chosen one, by the greedy algorithm for k centres.

Each record is the one farthest from those chosen so far; the largest distance of a record to its nearest centre is then
at most twice the least possible (T. F. Gonzalez, Clustering to minimize the maximum intercluster distance, 1985). O.
Sener and S. Savarese (arXiv 1708.00489) choose so what to label, in the space of a network's last layer. Outliers are
chosen early: that is what the criterion asks for.

Certain: the algorithm, and its bound.

Ours:

- the space: mean last hidden states of the untrained model, or the embeddings of a sentence encoder;
- the first centre: the record closest to the mean (the paper starts from what is labelled already);
- `distance: cosine`, 1 - cosine, which is half the squared distance between directions of length 1, so that the bound
  holds for that distance; or `euclidean`. Cosines and squared distances (in units of the longest vector) count to six
  decimals, so that rounding does not set duplicates apart.

The score is the distance to the nearest centre, as a record was chosen or at the end; the first has the second's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import content

if TYPE_CHECKING:
    import numpy as np

    from grads.signals.vectors import Vectors

# Decimals of cosines and of squared distances that count.
DECIMALS = 6
# Entries that are held in double precision at once.
CHUNK = 2**22


class KCenter(Parameters):
    """Parameters of `kcenter`; the defaults are ours."""

    distance: Literal["cosine", "euclidean"] = Field("cosine", description="What far means.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; hidden states if none.")


def needs(parameters: KCenter) -> Needs:
    """Return the need of the vectors between which distances are taken."""
    store, kind = content(parameters.encoder)
    return Needs({store: frozenset({kind})})


def select(inputs: Inputs, parameters: KCenter) -> Choice:
    """Choose the farthest record again and again."""
    import numpy as np

    from grads.selection.algorithms.greedy import lazy_greedy

    store, kind = content(parameters.encoder)
    space, unit = _SPACES[parameters.distance](inputs.features[store][kind])
    # The closest to the mean; the mean of the columns says how near each record is to all of them on average.
    middle = space.toward(space.columns.mean(axis=0, dtype=np.float64))
    first = int(np.argmin(np.round(space.fixed - middle, DECIMALS)))
    score, order = lazy_greedy(space.fixed, space.rows, space.columns, 1.0, inputs.count, first)
    score = np.maximum(np.round(score, DECIMALS), 0.0)
    score[first] = np.delete(score, first).max(initial=0.0)
    score = score if parameters.distance == "cosine" else np.sqrt(score) * unit
    radius = float(np.delete(score, order).max(initial=0.0))
    return Choice(score, order, {"largest_distance_to_a_centre": round(radius, DECIMALS)})


class Space(NamedTuple):
    """N records between which distance(i, j) = fixed[i] - rows[i] . columns[j]."""

    fixed: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def toward(self, column: np.ndarray) -> np.ndarray:
        """Return N products of the rows with a column in double precision, which no more than some rows take."""
        import numpy as np

        step = max(1, CHUNK // len(column))
        starts = range(0, len(self.rows), step)
        return np.concatenate([self.rows[start : start + step].astype(float) @ column for start in starts])


def cosine_space(vectors: Vectors) -> tuple[Space, float]:
    """Return a space of 1 - cosine, and 1; a record of zeros has cosine 0 with all."""
    import numpy as np

    from grads.selection.algorithms.neighbours import unit_matrix

    directions = unit_matrix(vectors)
    return Space(np.ones(len(vectors)), directions, directions), 1.0


def euclidean_space(vectors: Vectors) -> tuple[Space, float]:
    """Return a space of squared distances in units of the longest vector, and the length of that vector."""
    import numpy as np

    points = np.asarray(vectors)
    unit = float(np.linalg.norm(points, axis=1).max()) or 1.0
    points /= np.float32(unit)
    lengths = np.einsum("ij,ij->i", points, points)
    # |x_i - x_j|^2 = |x_i|^2 - (2 x_i . x_j - |x_j|^2).
    rows = np.concatenate([2 * points, np.ones((len(points), 1), points.dtype)], axis=1)
    return Space(lengths.astype(float), rows, np.concatenate([points, -lengths[:, None]], axis=1)), unit


_SPACES = {"cosine": cosine_space, "euclidean": euclidean_space}

METHOD = Method(
    name="kcenter",
    title="k-centre",
    source="arXiv 1708.00489, algorithm 1",
    select=select,
    parameters=KCenter,
    needs=needs,
)
