"""What the tables share: entries, columns, the note on intervals, and the mark of a selection that fell short."""

import dataclasses
import math

import pandas as pd
import pytest

from grads.report.rendering.entries import RunMarks, fact_columns, groups_note, interval_note, ranked_column
from grads.report.rendering.layout import ABSENT, Entry
from grads.report.statistics.estimates import Quantity, Run
from grads.report.statistics.samples import ITEMS_ONLY, Estimate
from grads.study.controls import TEST_PROMPTS
from grads.study.reading import parse_study

SURE = Estimate(1.25, 1.0, 1.75, 40, 3, 20, kind=ITEMS_ONLY)
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


def test_an_entry_is_the_value_half_the_interval_and_the_marks():
    nothing = Estimate(math.nan, math.nan, math.nan, 0, 0)
    column = ranked_column([SURE, BARE, nothing], 2, True, marks=["f+", "r+", ""])
    # What has no interval is not ranked.
    assert column == [Entry("1.25", "±0.38 f+", 1), Entry("0.00", "r+", 0), Entry(ABSENT, "", 0)]
    assert ranked_column([SURE], 1, True) == [Entry("1.2", "±0.4", 1)]
    less = dataclasses.replace(SURE, value=-1.0)
    ranked = [Entry("+1.25", "±0.38", 2), Entry("\u22121.00", "±0.38", 1)]
    assert ranked_column([SURE, less], 2, False, signs=True) == ranked
    assert [one.place for one in ranked_column([SURE, less, BARE], 2, True, ranks=[False, True, True])] == [0, 1, 0]


class Estimates:
    """Answers with one estimate, and with a difference to the untuned run only."""

    def __init__(self, one: Estimate) -> None:
        self.one = one

    def of(self, *_: object) -> Estimate:
        return self.one

    def difference(self, model: str, domain: str, run: Run, base: Run, quantity: Quantity) -> Estimate:
        assert (base.arm, base.ratio, quantity) == ("untuned", "0", Quantity.domain("bleu"))
        return Estimate(0.25, 0.0, 0.5, 40, 3)


def test_columns_of_a_csv_file(config):
    of, quantity = ("tiny", "law", Run("random", "0.5")), Quantity.domain("bleu")
    fact = fact_columns(parse_study(config), Estimates(SURE), of, quantity, {"metric": "bleu"}, "gain")
    assert list(fact.items()) == [
        ("study", "toy"), ("model", "tiny"), ("domain", "law"), ("arm", "random"), ("ratio", "0.5"), ("metric", "bleu"),
        ("value", 1.25), ("low", 1.0), ("high", 1.75), ("interval", "items only"), ("items", 40), ("groups", 20),
        ("seeds", 3),
        ("gain", 0.25), ("gain_low", 0.0), ("gain_high", 0.5),
    ]  # fmt: skip
    del config["arms"]["untuned"]
    alone = fact_columns(parse_study(config), Estimates(BARE), of, quantity, {}, "gain")
    assert alone["interval"] == "none"
    assert not {"gain", "gain_low", "gain_high"} & set(alone)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([0], "items only, of the test items and not of the seeds (1 seed)"),
        ([0, 1], "items only, of the test items and not of the seeds (2 seeds)"),
        ([4, 5, 6], "items and seeds, which are crossed (3 seeds;"),
    ],
)
def test_the_note_says_what_the_intervals_hold(config, seeds, said):
    assert said in interval_note(parse_study(config | {"seeds": seeds}))


def test_the_note_names_what_has_fewer_groups_than_items():
    alone = dataclasses.replace(SURE, groups=40)
    assert groups_note([("Law", alone)]) == []
    (note,) = groups_note([("Law", SURE), ("Tax", alone), ("Law", SURE)])
    assert note.endswith(": Law 40 in 20.")


def test_one_short_seed_marks_the_run_on_its_domain_and_no_other():
    frame = chosen(
        ("m", "law", "grads", "0.5", 0, 10, 10),
        ("m", "law", "grads", "0.5", 1, 10, 9),
        ("m", "tax", "grads", "0.5", 0, 10, 10),
        ("m", "tax", "grads", "0.05", 0, 1, 1),
        ("m", "law", "random", "0.5", 0, 10, 10),
        ("n", "law", "grads", "0.5", 0, 10, 10),
    )
    short = RunMarks(frame)
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
    short = RunMarks(chosen(("m", "law", "full_steps", "0.05", 0, 5, 100)))
    assert short.mark("m", Run("full_steps", "0.05")) == ""
    assert short.notes() == []


def test_what_learns_from_the_test_sets_prompts_is_marked():
    frame = chosen(("m", "law", "full", "1", 0, 10, 10), ("m", "law", "seen", "1", 0, 10, 10))
    row = {"model": "m", "domain": "law", "arm": "seen", "ratio": "1", "seed": 0}
    row |= {"part": "cost", "task": "training", "metric": TEST_PROMPTS, "value": 6.0}
    marks = RunMarks(pd.concat([frame, pd.DataFrame([row])], ignore_index=True))
    assert (marks.mark("m", Run("seen", "1")), marks.mark("m", Run("full", "1"))) == ("\u2016", "")
    (note,) = marks.notes()
    assert note.startswith("\u2016")
    assert "never ranked" in note


def test_without_selections_nothing_is_marked():
    assert RunMarks(chosen()).notes() == []
    others = chosen(("m", "law", "grads", "0.5", 0, 10, 9)).assign(task="training")
    assert RunMarks(others).mark("m", Run("grads", "0.5")) == ""


def test_arms_that_see_target_examples_are_marked():
    rows = chosen(("m", "law", "less", "0.5", 0, 10, 9), ("m", "law", "random", "0.5", 0, 10, 10))
    seen = rows[rows["metric"] == "seconds"].assign(metric="uses_target")
    seen["value"] = [1.0, 0.0]
    marks = RunMarks(pd.concat([rows, seen]))
    assert marks.mark("m", Run("less", "0.5")) == "†‡"
    assert marks.mark("m", Run("random", "0.5")) == ""
    assert [note[0] for note in marks.notes()] == ["†", "‡"]


def test_arms_with_settings_of_their_own_are_marked_and_named():
    place = {"study": "s", "model": "m", "domain": "law", "ratio": "1", "seed": 0, "part": "cost", "task": "training"}
    rows = [
        {"arm": "full", "metric": "epochs", "value": 2.0, "signature": ""},
        {"arm": "low", "metric": "departures", "value": 1.0, "signature": "learning_rate 2e-05 for 0.0002"},
        {"arm": "half", "metric": "scaled", "value": 0.5, "signature": "low"},
        {"arm": "half", "metric": "departures", "value": 1.0, "signature": "learning_rate 2e-05 for 0.0002"},
    ]
    marks = RunMarks(pd.DataFrame([place | row for row in rows]))
    found = {arm: marks.mark("m", Run(arm, "1"), "law") for arm in ("full", "low", "half")}
    assert found == {"full": "", "low": "§", "half": "§¶"}
    own, scaled = marks.notes()
    assert own.startswith("§")
    assert "low (learning_rate 2e-05 for 0.0002); half (" in own
    assert scaled.startswith("¶")
    assert "half (0.5 of low)" in scaled
