"""Signals that are no finite numbers, as a model that has diverged gives them: an error, or left out and counted."""

import numpy as np

from grads.runtime.errors import GradsError
from grads.runtime.progress import say
from grads.signals.blocks import Rows
from grads.signals.names import FIRST


def only_finite(rows: Rows, skip: bool) -> tuple[Rows, list[str]]:
    """Return the rows without the records of which anything is NaN or infinite, and the ids of those.

    Args:
        rows: of some records.
        skip: whether such records are left out, which is said; otherwise they are an error.

    Raises:
        GradsError: there is such a record, and it is not to be left out.
    """
    bad = not_finite(rows)
    if not bad.any():
        return rows, []
    if not skip:
        raise not_finite_error(rows, bad)
    left_out = rows.signals["id"][bad].tolist()
    say(f"left out, for a signal is no finite number: {', '.join(left_out)}")
    return rows.taken(~bad, rows.notes), left_out


def not_finite(rows: Rows) -> np.ndarray:
    """Return whether anything of a record is NaN or infinite, n booleans."""
    bad = ~np.isfinite(rows.signals.select_dtypes("number").to_numpy(dtype=float)).all(axis=1)
    for directions in rows.directions.values():
        bad |= ~np.isfinite(directions).all(axis=1)
    if rows.token_losses is not None:
        bad |= [not np.isfinite(losses).all() for losses in rows.token_losses]
    return bad


def not_finite_error(rows: Rows, bad: np.ndarray) -> GradsError:
    """Return the sentence for records that `not_finite` found, naming the first and its first such column."""
    first = rows.signals.iloc[int(bad.argmax())]
    values = {name: value for name, value in first.items() if name not in FIRST and not np.isfinite(value)}
    name, value = next(iter(values.items()), ("token_losses", np.nan))
    return GradsError(
        f"record {first['id']} has {name} = {value}, which is no finite number: lower training.learning_rate if the "
        "preliminary run diverged, probe in float32, or set probe.nonfinite to 'skip' to go on without such records"
    )
