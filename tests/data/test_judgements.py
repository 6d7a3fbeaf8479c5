"""Rows of judgements, and what is wrong with them."""

import pytest

from grads.config.evaluation import Judgements
from grads.data.judgements import parse_judgement
from grads.runtime.errors import GradsError

ROW = {"cell": "tiny/law/full/1/0", "id": "ab12", "prediction": "a claim", "verdict": 7}


def share(value, worst=0.0, best=1.0):
    return parse_judgement(
        "judged.jsonl:3", ROW | {"verdict": value}, Judgements(path="x", worst=worst, best=best)
    ).share


@pytest.mark.parametrize(
    ("value", "worst", "best", "expected"),
    [
        (0, 0, 1, 0.0),
        (1.0, 0, 1, 1.0),
        (7, 1, 10, 6 / 9),
        ("7", 1, 10, 6 / 9),
        (" 2.5e0 ", 0, 5, 0.5),
        (3, 5, 1, 0.5),  # Marks as at school: one is the best.
        (1, 5, 1, 1.0),
        (-1, -1, 1, 0.0),
    ],
)
def test_judgements_are_shares_of_the_way_from_the_worst_to_the_best(value, worst, best, expected):
    assert share(value, worst, best) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("value", ["good", "", "1_0", "nan", float("nan"), float("inf"), True, [1], "0x1", "1,5"])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(GradsError, match=r"^judged\.jsonl:3: 'verdict' is .*, no number: write a number from 0 to 1$"):
        share(value)


@pytest.mark.parametrize(("value", "worst", "best"), [(1.01, 0, 1), (0, 1, 10), (11, 10, 1), ("-1", 0, 1)])
def test_what_is_off_the_scale_is_refused(value, worst, best):
    with pytest.raises(GradsError, match=r"^judged\.jsonl:3: 'verdict' is \S+: write a number from .* to .*'worst'"):
        share(value, worst, best)


@pytest.mark.parametrize("name", ["cell", "id", "prediction", "verdict"])
def test_a_missing_field_is_named(name):
    for row in ({key: value for key, value in ROW.items() if key != name}, ROW | {name: None}):
        with pytest.raises(GradsError, match=rf"^judged\.jsonl:3: there is no '{name}'"):
            parse_judgement("judged.jsonl:3", row, Judgements(path="x", best=10))


def test_a_field_that_is_no_text_is_named():
    with pytest.raises(GradsError, match=r"judged\.jsonl:3: 'id' is 12, no text"):
        parse_judgement("judged.jsonl:3", ROW | {"id": 12}, Judgements(path="x", best=10))


def test_further_fields_are_left_alone():
    """The row of predictions.jsonl with two more fields is a row of judgements."""
    one = parse_judgement("f:1", ROW | {"capped": False, "why": "too short"}, Judgements(path="x", worst=1, best=10))
    assert (one.cell, one.id, one.prediction) == (ROW["cell"], ROW["id"], ROW["prediction"])
