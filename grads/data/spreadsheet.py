"""CSV files that a spreadsheet may open: no text of the data becomes a formula there."""

import pandas as pd

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet would compute."""


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as CSV; texts that begin like a formula have an apostrophe in front, numbers stay as they are."""
    safe = frame.copy(deep=False)
    for place, (_name, column) in enumerate(frame.items()):
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            safe.isetitem(place, column.map(_inert))
    return safe.rename(columns=_inert).to_csv(index=False, lineterminator="\n")


def _inert(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = f"'{value}" if value.startswith(FORMULAS) else value
    # A carriage return alone would not be quoted, and would end the row.
    return text.replace("\r\n", "\n").replace("\r", "\n")
