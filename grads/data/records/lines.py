"""Rows of data as lines of JSON, whatever they came from."""

import json
import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from grads.runtime.errors import GradsError


def json_line(row: Mapping[str, Any], place: str) -> str:
    """Return a row as a line of JSON; what is no UTF-8 (half of a surrogate pair) is escaped.

    Args:
        row: its fields.
        place: how an error calls the row.

    Raises:
        GradsError: a field holds what JSON has not, such as bytes.
    """
    plain = _plain(row)
    try:
        line = json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(plain) + "\n"
    except TypeError as error:
        raise GradsError(f"{place}: this row cannot be written as JSON ({error}): leave the column out") from None
    return line


def _plain(value: Any) -> Any:
    """Return a value of a row with dates as ISO 8601, decimals as text, and null for numbers that JSON has not."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
