"""The texts of records and what is known about them, as a table for methods that read it."""

import json
from pathlib import Path

import pandas as pd

from grads.config.domains import TEXT_COLUMNS
from grads.data.records.record import load_records


def text_table(path: Path | str) -> pd.DataFrame:
    """Return the records of a Parquet file as a table, ordered by id: TEXT_COLUMNS, then one for each metadata field.

    A field is a column of float64 where every value that is given is a number, or writes one, as those of a CSV file
    do; what is not given is NaN. Any other field is a column of values as they are; what is not given is None.

    Raises:
        GradsError: no such file, or not one of records.
    """
    records = sorted(load_records(path), key=lambda record: record.id)
    table = pd.DataFrame(
        [[getattr(record, name) for name in TEXT_COLUMNS] for record in records], columns=list(TEXT_COLUMNS)
    )
    kept = [json.loads(record.metadata) if record.metadata else {} for record in records]
    for name in dict.fromkeys(name for fields in kept for name in fields):
        table[name] = _column([fields.get(name) for fields in kept])
    return table


def _column(values: list[float | str | None]) -> pd.Series:
    given = [None if isinstance(value, str) and not value.strip() else value for value in values]
    try:
        return pd.Series([float("nan") if value is None else float(value) for value in given], dtype="float64")
    except ValueError:
        return pd.Series(given, dtype="object")
