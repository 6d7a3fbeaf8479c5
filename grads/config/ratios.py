"""Keep ratios: written one way in config, paths and tables."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from grads.runtime.errors import quoted


def canonical_ratio(value: object) -> str:
    """Return a ratio's shortest decimal: 0.10, .1 and "0.1" are all `0.1`; `auto` stays.

    Raises:
        ValueError: it is not a number above 0 and at most 1.
    """
    if value == "auto":
        return AUTO
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"a ratio is a number above 0 and at most 1, not {value!r}")
    text = str(value)
    # Python reads digits of every script, and an underscore between them.
    if not text.isascii() or "_" in text or len(text) > LONGEST:
        raise ValueError(f"a ratio is a number above 0 and at most 1, not {quoted(value)}")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"a ratio is a number above 0 and at most 1, not {quoted(value)}") from None
    if not (number.is_finite() and 0 < number <= 1):
        raise ValueError(f"a ratio is above 0 and at most 1, not {value}")
    if number < SMALLEST:
        raise ValueError(f"a ratio is at least {SMALLEST:f}, one record of a billion, not {value}")
    return f"{number.normalize():f}"


SMALLEST = Decimal("0.000000001")
LONGEST = 40
"""Characters of a ratio; a float has 22 at most."""


AUTO = "auto"
"""The ratio of an arm that finds its own number of records, or takes another arm's."""

Ratio = Annotated[str, BeforeValidator(canonical_ratio), WithJsonSchema({"type": ["string", "number"]})]


def keep_count(ratio: str, eligible: int) -> int:
    """Return how many of `eligible` records a ratio keeps: round-half-even(ratio x N), at least 1, at most N."""
    if eligible < 1:
        return 0
    return min(eligible, max(1, round(Decimal(ratio) * eligible)))


def ratio_of_count(count: int, eligible: int) -> str:
    """Return the shortest decimal whose `keep_count` of so many records is a count.

    Raises:
        ValueError: the count is not between 1 and the number of records.
    """
    if not 1 <= count <= eligible:
        raise ValueError(f"{count} records are asked for, of {eligible}")
    share = Decimal(count) / Decimal(eligible)
    digits = 1
    while keep_count(ratio := f"{round(share, digits):f}", eligible) != count or Decimal(ratio) == 0:
        digits += 1
    return canonical_ratio(ratio)
