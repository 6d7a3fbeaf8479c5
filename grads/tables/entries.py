"""What the tables share: entries, the columns of the CSV files, notes, and the mark of a selection that fell short."""

import pandas as pd

from grads.study.config import Study
from grads.tables.estimates import Estimate, Run
from grads.tables.layout import Entry, number, spread
from grads.tables.measurements import ITEMS_ONLY
from grads.tables.statistics import REPLICATES


def estimate_entry(one: Estimate, decimals: int, place: int = 0) -> Entry:
    """Return an estimate as it is printed: the value, then half the interval's width."""
    return Entry(number(one.value, decimals), spread(one.half, decimals), place)


def identity_columns(study: Study, model: str, domain: str, run: Run) -> dict[str, object]:
    """Return the columns that say what a row of a CSV file is about."""
    return {"study": study.study, "model": model, "domain": domain, "arm": run.arm, "ratio": run.ratio}


def estimate_columns(one: Estimate) -> dict[str, object]:
    """Return an estimate's columns of a CSV file."""
    kind = ITEMS_ONLY if one.has_interval else "none"
    bounds = {"value": one.value, "low": one.low, "high": one.high, "interval": kind}
    return bounds | {"items": one.n, "seeds": one.seeds}


def difference_columns(one: Estimate, name: str) -> dict[str, object]:
    """Return the columns of a difference called `name`."""
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


def interval_note(study: Study) -> str:
    """Return the sentence that says what the intervals hold, and what they do not."""
    seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    return (
        f"± is half the 95 % interval of {REPLICATES:,} bootstrap resamples, {ITEMS_ONLY}: of the test items, "
        f"not of the seeds ({seeds})."
    )


class Shortfalls:
    """Knows for which runs a method returned fewer records than the ratio asks for, and marks them."""

    def __init__(self, frame: pd.DataFrame) -> None:
        chosen = frame[(frame["part"] == "cost") & (frame["task"] == "selection")]
        cell = ["model", "domain", "arm", "ratio", "seed"]
        counts = chosen.pivot(index=cell, columns="metric", values="value")
        short = counts[counts["actual"] < counts["requested"]].index if len(counts) else []
        self._short = {key[:4] for key in short}

    def mark(self, model: str, run: Run, domain: str | None = None) -> str:
        """Return a dagger where the run fell short on `domain`, or on any domain."""
        found = any(
            (model, run.arm, run.ratio) == (key[0], *key[2:]) and domain in (None, key[1]) for key in self._short
        )
        return "†" if found else ""

    def notes(self) -> list[str]:
        """Return the sentence that explains the mark, if it is used."""
        return ["† The method returned fewer records than the ratio asks for."] if self._short else []
