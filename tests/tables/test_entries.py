"""What the tables share: entries, columns, the note on intervals, and the mark of a selection that fell short."""

import math

import pandas as pd
import pytest

from grads.study.load import parse_study
from grads.tables.entries import (
    Shortfalls,
    difference_columns,
    estimate_columns,
    estimate_entry,
    identity_columns,
    interval_note,
)
from grads.tables.estimates import Estimate, Run
from grads.tables.layout import ABSENT, Entry
from grads.tables.statistics import REPLICATES

SURE = Estimate(1.25, 1.0, 1.75, 40, 3)
BARE = Estimate(-0.004, math.nan, math.nan, 40, 1)


def chosen(*rows: tuple[str, str, str, str, int, int, int]) -> pd.DataFrame:
    """Return the long table's rows of selections: model, domain, arm, ratio, seed, requested, actual."""
    names = ["model", "domain", "arm", "ratio", "seed"]
    return pd.DataFrame(
        [
            dict(zip(names, row, strict=False))
            | {"part": "cost", "task": "selection", "metric": metric, "value": float(value)}
            for row in rows
            for metric, value in (("requested", row[5]), ("actual", row[6]), ("seconds", 0.5))
        ],
        columns=[*names, "part", "task", "metric", "value"],
    )


def test_an_entry_is_the_value_and_half_the_interval():
    assert estimate_entry(SURE, 2) == Entry("1.25", "±0.38", 0)
    assert estimate_entry(SURE, 1, place=2) == Entry("1.2", "±0.4", 2)
    assert estimate_entry(BARE, 2) == Entry("0.00", "", 0)
    nothing = Estimate(math.nan, math.nan, math.nan, 0, 0)
    assert estimate_entry(nothing, 2) == Entry(ABSENT, "", 0)


def test_columns_of_a_csv_file(study):
    assert identity_columns(study, "tiny", "law", Run("random", "0.5")) == {
        "study": "toy", "model": "tiny", "domain": "law", "arm": "random", "ratio": "0.5",
    }  # fmt: skip
    assert estimate_columns(SURE) == {
        "value": 1.25, "low": 1.0, "high": 1.75, "interval": "items only", "items": 40, "seeds": 3,
    }  # fmt: skip
    assert estimate_columns(BARE)["interval"] == "none"
    assert difference_columns(SURE, "gain") == {"gain": 1.25, "gain_low": 1.0, "gain_high": 1.75}


@pytest.mark.parametrize(("seeds", "said"), [([0], "(1 seed)"), ([0, 1], "(2 seeds)"), ([4, 5, 6], "(3 seeds)")])
def test_the_note_says_what_the_intervals_leave_out(config, seeds, said):
    note = interval_note(parse_study(config | {"seeds": seeds}))
    assert said in note
    assert f"{REPLICATES:,} bootstrap resamples, items only: of the test items, not of the seeds" in note


def test_one_short_seed_marks_the_run_on_its_domain_and_no_other():
    frame = chosen(
        ("m", "law", "grads", "0.5", 0, 10, 10),
        ("m", "law", "grads", "0.5", 1, 10, 9),
        ("m", "tax", "grads", "0.5", 0, 10, 10),
        ("m", "tax", "grads", "0.05", 0, 1, 1),
        ("m", "law", "random", "0.5", 0, 10, 10),
        ("n", "law", "grads", "0.5", 0, 10, 10),
    )
    short = Shortfalls(frame)
    run = Run("grads", "0.5")
    assert short.mark("m", run, "law") == "†"
    assert short.mark("m", run) == "†"
    assert short.mark("m", run, "tax") == ""
    assert short.mark("m", Run("grads", "0.05")) == ""
    assert short.mark("m", Run("random", "0.5"), "law") == ""
    assert short.mark("n", run) == ""
    assert short.notes() == ["† The method returned fewer records than the ratio asks for."]


def test_more_than_asked_is_no_shortfall():
    """The control of equal steps keeps all records and asks for fewer."""
    short = Shortfalls(chosen(("m", "law", "full_steps", "0.05", 0, 5, 100)))
    assert short.mark("m", Run("full_steps", "0.05")) == ""
    assert short.notes() == []


def test_without_selections_nothing_is_marked():
    assert Shortfalls(chosen()).notes() == []
    others = chosen(("m", "law", "grads", "0.5", 0, 10, 9)).assign(task="training")
    assert Shortfalls(others).mark("m", Run("grads", "0.5")) == ""
