"""Deita's rule by hand and against its plain form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods import quality_diversity
from grads.selection.methods.quality_diversity import METHOD, QualityDiversity

Make = Callable[..., Inputs]


def choose(inputs_of: Make, points: Any, count: int, fields: dict[str, Any], **parameters: Any) -> Choice:
    texts = {"train": pd.DataFrame({"id": [f"r{place:03}" for place in range(len(points))], **fields})}
    inputs = inputs_of({"base": {"hidden": points}}, count, texts=texts)
    return METHOD.select(inputs, QualityDiversity(fields=list(fields), **parameters))


def chosen(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


def at(degrees: list[float]) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_five_records_by_hand(inputs_of: Make) -> None:
    # 0 and 10 degrees are too near (cosine 0.985), 0 and 60 are not; a cosine of 0.9 is 25.8 degrees.
    points, quality = at([0, 10, 60, 70, 120]), [5.0, 4.0, 3.0, 2.0, 1.0]
    choice = choose(inputs_of, points, 3, {"quality": quality}, centred=False)
    assert chosen(choice) == [0, 2, 4]
    assert choice.score.tolist() == quality
    assert choice.notes == {"without_a_number": 0, "passed_over": 2}
    assert choose(inputs_of, points, 2, {"quality": quality}, centred=False).notes["passed_over"] == 1
    # Fewer are kept than asked for where too many are alike.
    assert chosen(choose(inputs_of, points, 5, {"quality": quality}, centred=False)) == [0, 2, 4]
    assert chosen(choose(inputs_of, points, 5, {"quality": quality}, centred=False, threshold=0.999)) == [0, 1, 2, 3, 4]


def test_the_score_is_the_product_of_fields(inputs_of: Make) -> None:
    fields = {"complexity": [1.0, 2.0, 3.0], "quality": [6.0, 2.0, 3.0]}
    choice = choose(inputs_of, np.eye(3), 3, fields, centred=False)
    assert choice.score.tolist() == [6, 4, 9]
    assert chosen(choice) == [2, 0, 1]


def test_records_without_a_number_are_refused_or_come_last(inputs_of: Make) -> None:
    fields = {"quality": [1.0, None, 3.0]}
    with pytest.raises(GradsError, match=r"1 of 3 records have no number in 'quality' \(first: r001\)"):
        choose(inputs_of, np.eye(3), 3, fields)
    choice = choose(inputs_of, np.eye(3), 3, fields, missing="last", centred=False)
    assert chosen(choice) == [2, 0, 1]
    with pytest.raises(ValueError, match="name each field once"):
        QualityDiversity(fields=["quality", "quality"])


def plainly(cosines: np.ndarray, ranked: list[int], threshold: float, count: int) -> list[int]:
    kept: list[int] = []
    for place in ranked:
        if len(kept) < count and all(cosines[place, other] <= threshold for other in kept):
            kept.append(place)
    return kept


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("count", [1, 8, 60])
def test_choices_are_those_of_the_plain_rule(
    count: int, centred: bool, inputs_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_diversity, "BLOCK", 7)
    random = np.random.default_rng(count)
    points, quality = random.normal(size=(60, 3)), random.normal(size=60)
    inputs = inputs_of({"base": {"hidden": points}}, count)
    seen = np.asarray(inputs.features["base"]["hidden"], dtype=float)
    cosines = np.round(cosine_similarity(seen - seen.mean(axis=0) if centred else seen), 6)
    expected = plainly(cosines, np.argsort(-quality).tolist(), 0.9, count)
    assert chosen(choose(inputs_of, points, count, {"quality": quality}, centred=centred)) == expected


def test_states_with_a_large_part_in_common_are_told_apart_without_it(inputs_of: Make) -> None:
    points = np.random.default_rng(0).normal(size=(30, 8)) + 20
    fields = {"quality": np.arange(30.0)}
    assert len(chosen(choose(inputs_of, points, 10, fields, centred=False))) == 1
    assert len(chosen(choose(inputs_of, points, 10, fields))) == 10


def test_without_fields_the_score_is_the_models_own(inputs_of: Make) -> None:
    inputs = inputs_of({"base": {"hidden": np.eye(4)}}, 3)
    inputs.signals["base"]["response_nll"] = [1.0, 3.0, 2.0, 4.0]
    inputs.signals["base"]["unconditional_nll"] = [2.0, 3.0, 2.5, 5.0]
    choice = METHOD.select(inputs, QualityDiversity(centred=False))
    # Ratios 0.5, 1 (discarded), 0.8 and 0.8, which are equal and go by id.
    assert chosen(choice) == [2, 3, 0]
    assert choice.notes == {"discarded": 1, "passed_over": 0}


def test_needs() -> None:
    own = METHOD.needs(QualityDiversity())
    assert own.stores == {"base": {"losses", "unconditional", "hidden"}}
    assert not own.texts
    given = METHOD.needs(QualityDiversity(fields=["quality"], encoder="minilm"))
    assert given.stores == {"encoder-minilm": {"sentences"}}
    assert given.texts == {"train"}
