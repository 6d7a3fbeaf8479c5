"""Parquet files of stages, read as frames; what is damaged is one sentence."""

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from grads.runtime.errors import GradsError
from grads.runtime.files import AGAIN, reading


def read_frame(
    path: Path | str, columns: Sequence[str] | None = None, needed: Sequence[str] = (), **options: Any
) -> pd.DataFrame:
    """Read a Parquet file.

    Args:
        path: of the file.
        columns: those to read; all if not given.
        needed: further columns that it must have.
        options: of `pandas.read_parquet`, such as `filters`.

    Raises:
        GradsError: the file is not there, damaged, or lacks a column.
    """
    known = frame_columns(path)
    for column in (*(columns or ()), *needed):
        if column not in known:
            raise GradsError(f"{path} has no column '{column}', but {', '.join(known) or 'none'}: {AGAIN}")
    with reading(path):
        return pd.read_parquet(path, columns=None if columns is None else list(columns), **options)


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return a row for each mapping, with the columns in the order of the first; with these where there is no row."""
    return pd.DataFrame(rows, columns=None if rows else list(columns))


def frame_columns(path: Path | str) -> list[str]:
    """Return the names of a Parquet file's columns; raises like `read_frame`."""
    with reading(path):
        _refuse_folder(path)
        return list(pq.read_schema(path).names)


def frame_rows(path: Path | str) -> int:
    """Return the number of a Parquet file's rows; raises like `read_frame`."""
    with reading(path):
        _refuse_folder(path)
        return int(pq.read_metadata(path).num_rows)


def _refuse_folder(path: Path | str) -> None:
    # Arrow reads a folder as a data set of many files.
    if Path(path).is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
