"""Whether what is measured of a record depends on the other records of its batch, which it must not."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from torch import nn

from grads.data.records.formatting import Example
from grads.probing.measure import measure
from grads.signals.measured import Measured

# Errors are relative to the record's own value, but not to one that is this much smaller than the largest record's:
# of an answer that the model knows by heart hardly anything but rounding is left.
NEGLIGIBLE = 1e-3


def batch_errors(
    model: nn.Module, examples: Sequence[Example], measures: Collection[str], padding: int, compiled: bool = False
) -> dict[str, float]:
    """Return the largest relative error of each column and vector over all records and ways to put them in batches.

    What counts as right is each record alone. It is measured in batches of about three records, in one batch of all,
    and from the last record to the first. A mean, which is a sum that cancels, is relative to the entries' size, and a
    vector to its length.

    Args:
        model: a causal language model, with or without an adapter.
        examples: N records, at least one.
        measures: see `grads.signals.names`; `mean_abs` goes with `gradients` and `adapter`.
        padding: any token id.
        compiled: measure the batches also with compiled layers.
    """
    longest = max(len(example.input_ids) for example in examples)
    alone = measure(model, examples, measures, 1, padding)
    largest = dict[str, float]()
    for step, budget, options in _ways(longest, len(examples), compiled):
        found = measure(model, examples[::step], measures, budget, padding, **options)
        right = Measured(
            {name: values[::step] for name, values in alone.columns.items()},
            {name: rows[::step] for name, rows in alone.vectors.items()},
        )
        for name, error in relative_errors(found, right).items():
            largest[name] = max(largest.get(name, 0.0), error)
    return largest


def _ways(longest: int, count: int, compiled: bool) -> list[tuple[int, int, dict[str, Any]]]:
    ways: list[tuple[int, int, dict[str, Any]]] = [
        (step, budget, {}) for step in (1, -1) for budget in (3 * longest, count * longest)
    ]
    return [*ways, (1, 3 * longest, {"compiled": True})] if compiled else ways


def relative_errors(found: Measured, right: Measured) -> dict[str, float]:
    """Return the largest relative error over N records of each column and each vector; infinite where one is NaN."""
    errors = {}
    for name, values in right.columns.items():
        errors[name] = _largest(np.abs(found.columns[name] - values), _size(name, right.columns))
    for name, rows in right.vectors.items():
        distance = np.linalg.norm(found.vectors[name].astype(float) - rows, axis=1)
        errors[name] = _largest(distance, np.linalg.norm(rows.astype(float), axis=1))
    return errors


def _size(name: str, columns: dict[str, np.ndarray]) -> np.ndarray:
    layer, _, statistic = name.partition("_")
    if statistic != "mean":
        return np.abs(columns[name])
    return columns[f"{layer}_mean_abs"] if layer == "adapter" else np.hypot(columns[name], columns[f"{layer}_std"])


def _largest(differences: np.ndarray, sizes: np.ndarray) -> float:
    scale = np.maximum(sizes, NEGLIGIBLE * sizes.max())
    relative = np.divide(differences, scale, out=np.where(differences == 0, 0.0, np.inf), where=scale > 0)
    return float(np.nan_to_num(relative, nan=np.inf, posinf=np.inf).max())
