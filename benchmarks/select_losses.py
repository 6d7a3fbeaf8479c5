"""What an approximate choice loses against the exact one, and the error of densities on a grid."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.select_cases import Comparison
from benchmarks.synthetic import synthetic_stores
from grads.selection.algorithms.density import density, joint_density
from grads.selection.registry import find_method, parse_parameters

# Distances that are held at once.
CHUNK = 2**24


def losses(one: Comparison, tables: Sequence[pd.DataFrame]) -> list[float]:
    """Return the objective of each selection on the signals that it was made from; none where there is no objective."""
    if one.objective is None:
        return []
    method = find_method(one.method)
    needs = method.needs(parse_parameters(method, dict(one.exact)))
    with tempfile.TemporaryDirectory() as folder:
        stores = synthetic_stores(needs, one.count, one.dimensions, Path(folder))
        store = next(stores[name] for name in needs.stores)
        vectors = np.asarray(next(iter(store.features.values())))
    place = {id_: index for index, id_ in enumerate(store.signals["id"])}
    objective = {"coverage": coverage, "matching": matching}[one.objective]
    found = []
    for table in tables:
        chosen = table[table["kept"]]
        rows = vectors[[place[id_] for id_ in chosen["id"]]]
        found.append(objective(vectors, rows, chosen["weight"].to_numpy()))
    return found


def coverage(vectors: np.ndarray, chosen: np.ndarray, _weights: np.ndarray) -> float:
    """Return the mean distance of N vectors to the nearest chosen one, which facility location makes small."""
    total, step = 0.0, max(1, CHUNK // len(chosen))
    lengths = np.square(chosen).sum(axis=1)
    for start in range(0, len(vectors), step):
        rows = vectors[start : start + step]
        squared = np.square(rows).sum(axis=1)[:, None] - 2 * rows @ chosen.T + lengths
        total += float(np.sqrt(np.maximum(squared.min(axis=1), 0)).sum(dtype=np.float64))
    return total / len(vectors)


def matching(vectors: np.ndarray, chosen: np.ndarray, weights: np.ndarray) -> float:
    """Return the sine of the angle between the sum of N vectors and the weighted sum of the chosen ones.

    It is the part of the target's direction that no common factor of the weights, whose mean is 1, could match.
    """
    target, found = vectors.sum(axis=0, dtype=np.float64), weights @ chosen
    cosine = float(target @ found / np.linalg.norm(target) / np.linalg.norm(found))
    return float(np.sqrt(max(0.0, 1 - cosine**2)))


def kernel_density_errors(one: int, two: int) -> list[dict[str, Any]]:
    """Return errors of densities on a grid, of `one` numbers and of `two` points in the plane, and both forms' time."""
    random = np.random.default_rng(3)
    heavy = random.lognormal(0.0, 0.8, one)
    plane = random.lognormal(0.0, 0.5, (two, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    found = []
    for name, function, values in (
        ("one number", density, heavy),
        ("its logarithm", density, np.log(heavy)),
        ("two numbers", joint_density, plane),
    ):
        seconds, densities = [], []
        for exact in (False, True):
            started = time.perf_counter()
            densities.append(function(values, exact))
            seconds.append(time.perf_counter() - started)
        grid, true = densities
        count = max(1, len(values) // 20)
        kept = [set(np.argsort(-form, kind="stable")[:count].tolist()) for form in densities]
        error = np.abs(grid - true)
        found.append(
            {
                "name": name,
                "count": len(values),
                "seconds": seconds,
                "of_peak": float(error.max() / true.max()),
                "relative": float(np.quantile(error / true, 0.99)),
                "overlap": len(kept[0] & kept[1]) / count,
            }
        )
    return found
