"""Bins of mastery by hand, and the draw."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.mastery import METHOD, Mastery, bins_of, in_turns
from grads.selection.registry import parse_parameters

Make = Callable[..., Inputs]


def choose(
    inputs_of: Make, known: list[float], topics: list[str], count: int, seed: int = 0, **parameters: Any
) -> Choice:
    table = pd.DataFrame({"id": [f"r{row:03}" for row in range(len(known))], "source": topics, "known": known})
    inputs = inputs_of({"base": {"hidden": np.eye(len(known))}}, count, seed, {"train": table})
    return METHOD.select(inputs, Mastery(**{"field": "known", **parameters}))


def test_borders_are_of_the_lower_bin() -> None:
    assert bins_of(np.array([0, 0.01, 0.25, 0.26, 0.5, 0.75, 3 * 0.25, 0.76, 1])).tolist() == [
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
    ]
    assert bins_of(np.array([7 / 21 * 0.75 / (7 / 21)])).tolist() == [3]


def test_the_bin_comes_first_and_then_the_nearest_the_better_known_before(inputs_of: Make) -> None:
    known = [0.0, 0.1, 0.4, 0.6, 0.9, 0.3]
    choice = choose(inputs_of, known, ["a"] * 6, 6)
    assert choice.order is not None
    # Bins 0, 1, 2, 3, 4, 2: the two of bin 2, then 3, 1, 4, 0.
    assert set(choice.order[:2].tolist()) == {2, 5}
    assert choice.order[2:].tolist() == [3, 1, 4, 0]
    assert choice.notes["records_of_bins"] == [1, 1, 2, 1, 1]
    assert choice.notes["kept_of_the_bin"] == 2
    assert choose(inputs_of, known, ["a"] * 6, 1, bin=0).order.tolist() == [0]  # type: ignore[union-attr]


def test_topics_take_turns() -> None:
    topics = np.array([0, 0, 0, 0, 1, 1, 2])
    order = in_turns(np.zeros(7, dtype=int), topics, np.arange(7))
    assert topics[order].tolist() == [0, 1, 2, 0, 1, 0, 0]


def test_the_draw_is_even_over_topics_and_depends_on_the_seed(inputs_of: Make) -> None:
    topics = ["a"] * 50 + ["b"] * 10
    draws = [choose(inputs_of, [0.4] * 60, topics, 10, seed).order for seed in range(2)]
    for order in draws:
        assert order is not None
        assert (order < 50).sum() == 5
    assert draws[0].tolist() != draws[1].tolist()  # type: ignore[union-attr]


def test_the_likelihood_stands_in_by_its_rank(select: Any, needed_by: Any) -> None:
    stores = needed_by("mastery", 40)
    table, meta = select("mastery", "0.25", stores)
    assert meta["notes"]["stand_in"] == "likelihood"
    assert meta["notes"]["records_of_bins"] == [0, 10, 10, 10, 10]
    losses = stores["base"].signals.set_index("id")["response_nll"].sort_values(ascending=False)
    # The second quarter from the least likely on.
    assert set(table["id"][table["kept"]]) == set(losses.index[10:20])


def test_what_cannot_be_told_is_refused(inputs_of: Make) -> None:
    with pytest.raises(GradsError, match="bin 0 is of records never answered right"):
        parse_parameters(METHOD, {"bin": 0})
    with pytest.raises(GradsError, match=r"record r001 has 1\.5 in 'known'"):
        choose(inputs_of, [0.5, 1.5], ["a", "a"], 1)
    with pytest.raises(GradsError, match="no record has a field 'topic'"):
        choose(inputs_of, [0.5, 0.5], ["a", "a"], 1, topic="topic")
