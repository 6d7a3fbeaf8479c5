"""A field of the record as the score: order, records without a number, and a field that is not there."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.runtime.errors import GradsError
from grads.selection.contract import Inputs
from grads.selection.methods.metadata import METHOD, Metadata


def score_of(values: list[Any], **parameters: str) -> list[float]:
    pool = pd.DataFrame({"id": [f"r{position}" for position in range(len(values))]})
    inputs = Inputs({"tokens": pool}, {}, {}, 1, 0, texts={"train": pool.assign(quality=values)})
    return METHOD.select(inputs, Metadata(**{"field": "quality"} | parameters)).score.tolist()


def test_the_number_is_the_score() -> None:
    assert score_of([0.2, 3.0, -1.0]) == [0.2, 3.0, -1.0]
    assert score_of([1, 3, 2], order="lowest") == [-1.0, -3.0, -2.0]


@pytest.mark.parametrize("absent", [None, np.nan, np.inf, "good"])
def test_a_record_without_a_number_is_refused_by_name(absent: Any) -> None:
    with pytest.raises(GradsError, match=r"1 of 3 records have no number in 'quality' \(first: r1\): add it, or set"):
        score_of([0.2, absent, 1.0])


@pytest.mark.parametrize("order", ["highest", "lowest"])
def test_records_without_a_number_may_come_last(order: str) -> None:
    score = score_of([5.0, None, -5.0, None], missing="last", order=order)
    assert score[1] == score[3] < min(score[0], score[2])
    assert score_of([None, None], missing="last", order=order)[0] == score_of([None, None], missing="last")[1]


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(GradsError, match=r"no record has a field 'qualty': name it .* did you mean 'quality'"):
        score_of([1.0], field="qualty")


def test_the_records_are_needed() -> None:
    assert METHOD.needs(Metadata(field="quality")).texts == {"train"}
