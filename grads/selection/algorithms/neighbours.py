"""Nearest records by cosine: exactly, in blocks, or approximately, by an index of faiss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from grads.signals.vectors import Vectors

# Up to as many records neighbours are exact whatever is asked: an index would not be faster.
SMALL = 20_000
# Cosines that are held at once.
CHUNK = 2**22
# Decimals of a cosine that count; what lies below is rounding, and must not decide between equals.
DECIMALS = 6
# A difference of vectors below this share of their length is what half precision leaves of none.
NOTHING = 1e-3
# What stands for the cosine of a record with itself, so that it is no neighbour of its own.
OWN = -2
# Lists of the index for N records, as a multiple of sqrt(N), and the share of them that is searched for a record.
LISTS = 4
SEARCHED = 1 / 16
# Records a list that its centre is computed from, taken at equal distances.
SAMPLE = 64
# Rounds of k-means for the centres, which need not be exact.
ROUNDS = 10


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return N x d rows of length 1; a row of zeros stays and has cosine 0 with all."""
    import numpy as np

    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def unit_matrix(vectors: Vectors) -> np.ndarray:
    """Return all of N x d vectors as float32 of length 1 (4 N d bytes and no copy); zeros stay zeros."""
    import numpy as np

    found = np.empty(vectors.shape, dtype=np.float32)
    start = 0
    for chunk in vectors.unit.chunks():
        found[start : start + len(chunk)] = unit_rows(chunk)
        start += len(chunk)
    return found


def centred_matrix(vectors: Vectors, origin: np.ndarray) -> np.ndarray:
    """Return all of N x d vectors minus a point (d), as float32 of length 1; what is at that point is zero.

    Vectors are kept in half precision, so a difference of less than a thousandth of a vector's length is rounding.
    """
    import numpy as np

    found = np.empty(vectors.shape, dtype=np.float32)
    start = 0
    for chunk in vectors.chunks():
        difference = chunk - origin
        least = NOTHING * np.linalg.norm(chunk, axis=1)
        difference[np.linalg.norm(difference, axis=1) <= least] = 0.0
        found[start : start + len(chunk)] = unit_rows(difference)
        start += len(chunk)
    return found


def cosines_with(vectors: Vectors, directions: np.ndarray) -> np.ndarray:
    """Return the cosines of N vectors to a direction of length 1 (N), or to J of them, J x d (N x J), to six decimals.

    A direction that is shorter, as a mean of some is, gives the mean of the cosines to those. Zeros have cosine 0.
    """
    import numpy as np

    found = np.concatenate([unit_rows(chunk.astype(float)) @ directions.T for chunk in vectors.unit.chunks()])
    # Adding 0 makes -0 equal to 0.
    return np.round(found, DECIMALS) + 0.0


def nearest(vectors: Vectors, count: int, exact: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return each record's nearest others: cosines (float64, to six decimals) and positions, N x min(count, N - 1).

    Nearest first, equal cosines by position. Without `exact`, more than `SMALL` records go through an inverted index
    of faiss (J. Johnson, M. Douze and H. Jegou, Billion-scale similarity search with GPUs, 2017, section 5), which
    searches a part of its lists: their cosines are true to half precision, but a neighbour in another list is missed.
    """
    import numpy as np

    count = min(count, len(vectors) - 1)
    if count < 1:
        return np.empty((len(vectors), 0)), np.empty((len(vectors), 0), dtype=np.int64)
    found = _by_blocks(vectors, count) if exact or len(vectors) <= SMALL else _by_index(vectors, count)
    return np.concatenate([cosines for cosines, _ in found]), np.concatenate([places for _, places in found])


def ranked(cosines: np.ndarray, count: int, places: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the `count` highest of each of n rows of m cosines, and which positions those have: both n x count.

    Highest first, to six decimals, equal ones by position; `OWN` is below every cosine. Cosine and position are made
    one whole number, so that partitioning leaves no tie to chance.

    Args:
        cosines: n x m.
        count: at most m.
        places: n x m positions; None: the column is the position.
    """
    import numpy as np

    if places is None:
        places = np.arange(cosines.shape[1])
    scale = 10**DECIMALS
    size = int(places.max()) + 1
    keys = np.rint(cosines * np.float64(scale)).astype(np.int64) - OWN * scale
    keys *= size
    keys += size - 1 - places
    if count < keys.shape[1]:
        keys = np.partition(keys, keys.shape[1] - count, axis=1)[:, -count:]
    keys = -np.sort(-keys, axis=1)
    return (keys // size + OWN * scale) / scale, size - 1 - keys % size


def _by_blocks(vectors: Vectors, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    import numpy as np

    directions = unit_matrix(vectors)
    step = max(1, CHUNK // len(directions))
    found = []
    for start in range(0, len(directions), step):
        cosines = directions[start : start + step] @ directions.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = OWN
        found.append(ranked(cosines, count))
    return found


def _by_index(vectors: Vectors, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    import faiss
    import numpy as np

    index = _index(vectors)
    found = []
    start = 0
    for chunk in vectors.unit.chunks():
        queries = unit_rows(chunk)
        # One more, for the record itself is the nearest to it.
        cosines, places = index.search(queries, count + 1)
        short = (places < 0).any(axis=1)
        if short.any():  # The lists searched hold too few: search all.
            everywhere = faiss.SearchParametersIVF()
            everywhere.nprobe = index.nlist
            cosines[short], places[short] = index.search(queries[short], count + 1, params=everywhere)
        cosines[places == start + np.arange(len(chunk))[:, None]] = OWN
        found.append(ranked(cosines, count, places))
        start += len(chunk)
    return found


def _index(vectors: Vectors) -> Any:
    """Return an index of the unit vectors in half precision, which is how they come."""
    import faiss
    import numpy as np

    size, dimensions = vectors.shape
    lists = int(LISTS * size**0.5)
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimensions), dimensions, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.by_residual = False
    index.cp.niter = ROUNDS
    index.nprobe = max(1, round(SEARCHED * lists))
    index.train(unit_rows(vectors.unit[np.linspace(0, size - 1, min(size, SAMPLE * lists)).astype(int)]))
    for chunk in vectors.unit.chunks():
        index.add(unit_rows(chunk))
    return index
