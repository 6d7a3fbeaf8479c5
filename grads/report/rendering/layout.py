"""What a printed table is, before it is written as CSV, Markdown, LaTeX or HTML."""

import math
from dataclasses import dataclass, field

import pandas as pd

ABSENT = "\u2013"
"""Stands where a partial table has nothing to show."""


@dataclass(frozen=True)
class Entry:
    """An entry of a table.

    Attributes:
        text: what stands there; a minus sign is U+2212.
        aside: what follows in smaller type, such as an interval.
        place: 1 for the best of its column, 2 for the second, 0 otherwise.
        prose: whether the text is running text that may hold anything, which is set flush left and wrapped.
        verbatim: whether the text is somebody's own words, such as a title, in which nothing is markup.
    """

    text: str
    aside: str = ""
    place: int = 0
    prose: bool = False
    verbatim: bool = False


@dataclass(frozen=True)
class Block:
    """Rows under a common title."""

    title: str
    rows: list[list[Entry]]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: stem of its files.
        label: what a reader of the study must know; printed above the table.
        caption: what the table shows, one sentence.
        groups: titles that span columns, each with its number of columns; together they span all.
        header: title of every column, the first being that of the row heads.
        blocks: the rows.
        notes: sentences below the table.
        tidy: the numbers in full precision, a row per fact, for the CSV file.
    """

    name: str
    label: str
    caption: str
    groups: list[tuple[str, int]]
    header: list[str]
    blocks: list[Block]
    notes: list[str]
    tidy: pd.DataFrame = field(repr=False)


def signed(value: float, decimals: int) -> str:
    """Return a number with its sign: `+1.2`, minus U+2212; what rounds to zero has none."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and float(text) != 0 else text


def number(value: float, decimals: int) -> str:
    """Return a number with a typographic minus and never a negative zero; what is not there (NaN) is a dash."""
    if math.isnan(value):
        return ABSENT
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "\u2212")


def spread(half: float, decimals: int) -> str:
    """Return ` ±0.3` for half an interval's width, empty when there is no interval."""
    return "" if math.isnan(half) else f"±{half:.{decimals}f}"


def places(values: list[float], decimals: int, higher_is_better: bool) -> list[int]:
    """Return for each value whether it is the best (1), the second (2) or neither (0).

    Values are compared as they are printed: what looks equal is marked alike, and where all of several look equal none
    is. What is not there (NaN) has no place.
    """
    printed = [round(value, decimals) for value in values]
    ranking = sorted({value for value in printed if not math.isnan(value)}, reverse=higher_is_better)
    if len(ranking) == 1 and sum(value == ranking[0] for value in printed) > 1:
        return [0] * len(values)
    return [{best: place for place, best in enumerate(ranking[:2], 1)}.get(value, 0) for value in printed]
