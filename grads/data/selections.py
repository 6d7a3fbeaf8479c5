"""Selections as files: what a method chose of a pool, and how it counted."""

from pathlib import Path
from typing import Any

import pandas as pd

from grads.data.frames import read_frame
from grads.runtime.errors import GradsError
from grads.runtime.files import AGAIN, read_object

COLUMNS = ("id", "score", "rank", "kept", "weight")


def read_selection(path: Path | str) -> pd.DataFrame:
    """Return a selection's rows as they were written, by rank: `id`, `score`, `rank`, `kept`, `weight`.

    Raises:
        GradsError: the file is not there, damaged, or no selection.
    """
    table = read_frame(path, needed=("id", "kept"))
    if table["kept"].dtype != bool or not table["id"].is_unique:
        raise GradsError(f"{path} is damaged (it does not say of each record once whether it is kept): {AGAIN}")
    return table


def read_counts(path: Path | str) -> dict[str, Any]:
    """Return what is counted next to a selection, in the JSON file of its name: `left_out`, `requested` and more.

    Raises:
        GradsError: the file is not there or damaged.
    """
    path = Path(path).with_suffix(".json")
    counts = read_object(path)
    if not isinstance(counts.get("left_out"), list) or not isinstance(counts.get("requested"), int):
        raise GradsError(f"{path} is damaged (it does not count a selection): {AGAIN}")
    return counts
