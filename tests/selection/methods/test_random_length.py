"""The length-matched draw: its strata, its lengths at every ratio, and the overlap that chance explains."""

from itertools import pairwise
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.random_length import METHOD, RandomLength, first_of_each, strata
from grads.selection.registry import parse_parameters

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80)
TOLERANCES = st.sampled_from([0.0, 0.05, 0.3, 5.0])


def draw(lengths: Any, kept: Any, seed: int = 0, prompts: Any = 7, **parameters: Any) -> Choice:
    pool = pd.DataFrame({"id": [f"{n:04d}" for n in range(len(lengths))]})
    pool = pool.assign(response_tokens=lengths, prompt_tokens=prompts)
    inputs = Inputs({"tokens": pool}, {}, {"grads": pool[["id"]].assign(kept=kept)}, int(np.sum(kept)), seed)
    return METHOD.select(inputs, RandomLength(**parameters))


def drawn(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


def some_kept(data: Any, lengths: list[int]) -> list[bool]:
    kept = data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    kept[data.draw(st.integers(0, len(lengths) - 1))] = True
    return kept


def plain_strata(lengths: list[int], kept: list[bool], tolerance: float) -> list[list[int]]:
    """Return the lengths of each stratum, by looking at all neighbours again after each joining."""
    found = [[length] for length in sorted(set(lengths))]

    def lacks(stratum: list[int]) -> bool:
        inside = [keep for length, keep in zip(lengths, kept, strict=True) if length in stratum]
        return 2 * sum(inside) > len(inside)

    while True:
        near = [
            (right[-1] / left[0], place)
            for place, (left, right) in enumerate(pairwise(found))
            if (lacks(left) or lacks(right)) and right[-1] <= left[0] * (1 + tolerance)
        ]
        if not near:
            return found
        place = min(near)[1]
        found[place : place + 2] = [found[place] + found[place + 1]]


@settings(max_examples=150)
@given(LENGTHS, TOLERANCES, st.data())
def test_strata_are_those_of_their_definition(lengths: list[int], tolerance: float, data: Any) -> None:
    kept = some_kept(data, lengths)
    expected = plain_strata(lengths, kept, tolerance)
    number = {length: place for place, stratum in enumerate(expected) for length in stratum}
    found = strata(np.array(lengths), np.array(kept), tolerance)
    assert found.tolist() == [number[length] for length in lengths]


def test_strata_by_hand() -> None:
    # 20 has another record besides the kept one. 100 and 103 have none: they are joined, which is of no use, and with
    # 105. 200 stays alone, and so do 9 and 10, which differ by more than a twentieth.
    lengths = np.array([9, 10, 20, 20, 100, 103, 105, 200])
    kept = np.array([0, 1, 1, 0, 1, 1, 0, 1], dtype=bool)
    assert strata(lengths, kept, 0.05).tolist() == [0, 1, 2, 2, 3, 3, 3, 4]
    assert strata(lengths, kept, 0.0).tolist() == [0, 1, 2, 2, 3, 4, 5, 6]
    assert strata(lengths, np.zeros(8, dtype=bool), 0.05).tolist() == [0, 1, 2, 2, 3, 4, 5, 6]


@settings(max_examples=60)
@given(LENGTHS, TOLERANCES, st.data())
def test_each_stratum_gives_as_many_as_the_reference_keeps_there(
    lengths: list[int], tolerance: float, data: Any
) -> None:
    kept = some_kept(data, lengths)
    choice = draw(lengths, kept, data.draw(st.integers(0, 99)), tolerance=tolerance)
    assert len(set(drawn(choice))) == len(drawn(choice)) == sum(kept)
    own, wanted = np.sort(np.array(lengths)[drawn(choice)]), np.sort(np.array(lengths)[kept])
    # Sorted, every length is within the tolerance of the reference's.
    assert (np.maximum(own, wanted) <= np.minimum(own, wanted) * (1 + tolerance) + 1e-9).all()
    assert choice.notes["mean_length"] == pytest.approx(own.mean(), abs=1e-3)
    assert choice.notes["mean_length_of_reference"] == pytest.approx(wanted.mean(), abs=1e-3)
    assert choice.notes["mean_difference_of_lengths"] == pytest.approx(wasserstein_distance(own, wanted), abs=1e-3)


def skewed(count: int) -> np.ndarray:
    """Return lengths with a long tail, as those of answers are."""
    return np.ceil(np.random.default_rng(count).lognormal(5, 0.9, count)).astype(int)


@pytest.mark.parametrize("ratio", [0.005, 0.025, 0.05, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("which", ["longest", "shortest", "middle", "random"])
@pytest.mark.parametrize("count", [40, 400, 3000])
def test_mean_lengths_are_those_of_the_reference_at_every_ratio(count: int, which: str, ratio: float) -> None:
    lengths = skewed(count)
    away = {
        "longest": -lengths,
        "shortest": lengths,
        "middle": np.abs(np.log(lengths) - 5),
        "random": np.random.default_rng(1).random(count),
    }[which]
    kept = np.argsort(np.argsort(away, kind="stable")) < max(1, round(ratio * count))
    notes = draw(lengths, kept).notes
    assert notes["mean_length"] == pytest.approx(notes["mean_length_of_reference"], rel=0.02)
    assert notes["mean_difference_of_lengths"] <= 0.02 * notes["mean_length_of_reference"]


def test_lengths_are_exact_where_the_pool_has_enough_of_them() -> None:
    lengths = np.random.default_rng(0).integers(5, 40, 2000)
    kept = np.random.default_rng(1).random(2000) < 0.05
    choice = draw(lengths, kept)
    assert sorted(lengths[drawn(choice)]) == sorted(lengths[kept])
    # Few of these lengths are kept, so that the draw shares little with the reference.
    assert choice.notes["overlap"] < 0.2 * kept.sum()


def test_records_without_their_like_have_neighbours_to_draw() -> None:
    # No length is there twice: exact lengths would be the reference again.
    lengths = np.arange(200, 500)
    kept = np.arange(300) % 10 == 0
    assert draw(lengths, kept, tolerance=0.0).notes["overlap"] == 30
    overlaps = [draw(lengths, kept, seed).notes["overlap"] for seed in range(20)]
    assert np.mean(overlaps) < 18


@pytest.mark.parametrize(
    ("field", "own", "constant"), [("response", "answers", "prompts"), ("prompt", "prompts", "answers")]
)
def test_the_field_says_whose_length(field: str, own: str, constant: str) -> None:
    random = np.random.default_rng(2)
    tokens = {"answers": random.integers(1, 30, 600), "prompts": random.integers(1, 30, 600)}
    kept = tokens["answers"] + tokens["prompts"] > 45
    order = drawn(draw(tokens["answers"], kept, prompts=tokens["prompts"], field=field))
    assert tokens[own][order].mean() == pytest.approx(tokens[own][kept].mean(), rel=0.01)
    assert tokens[constant][order].mean() < 0.9 * tokens[constant][kept].mean()
    both = drawn(draw(tokens["answers"], kept, prompts=tokens["prompts"], field="whole"))
    whole = tokens["answers"] + tokens["prompts"]
    assert sorted(whole[both]) == pytest.approx(sorted(whole[kept]), rel=0.05)


def mean_overlap(members: int, kept: int) -> float:
    """Return what `kept` draws without replacement have in common with as many of the members, over all draws."""
    ways = [comb(kept, both) * comb(members - kept, kept - both) for both in range(kept + 1)]
    return sum(both * number for both, number in enumerate(ways)) / sum(ways)


@settings(max_examples=40)
@given(LENGTHS, st.data())
def test_the_overlap_of_chance_is_the_mean_of_hypergeometric_draws(lengths: list[int], data: Any) -> None:
    kept = np.array(some_kept(data, lengths))
    choice = draw(lengths, kept)
    number = strata(np.array(lengths), kept, 0.05)
    expected = sum(mean_overlap(int((number == one).sum()), int(kept[number == one].sum())) for one in set(number))
    assert choice.notes["overlap_expected_by_chance"] == pytest.approx(expected, abs=1e-3)
    assert choice.notes["overlap"] == kept[drawn(choice)].sum()
    assert choice.notes["strata"] == len(set(number))


def test_within_a_stratum_every_record_is_drawn_equally_often() -> None:
    lengths = [5] * 6 + [50] * 6
    kept = [True, True, *[False] * 4, True, *[False] * 5]
    counts = np.zeros(12)
    for seed in range(150):
        counts[drawn(draw(lengths, kept, seed))] += 1
    assert counts[:6].sum() == 300
    assert counts[6:].sum() == 150
    # Chi-square with 5 degrees of freedom in each stratum: 25.7 is its 0.9999 quantile.
    for part, mean in ((counts[:6], 50), (counts[6:], 25)):
        assert ((part - mean) ** 2 / mean).sum() < 25.7


def test_a_stratum_that_the_reference_empties_is_emptied_here_too() -> None:
    choice = draw([1, 1, 1, 90, 90, 90], [False, False, False, True, True, True])
    assert sorted(drawn(choice)) == [3, 4, 5]
    assert choice.notes["overlap"] == 3
    assert choice.notes["overlap_expected_by_chance"] == 3


def test_first_of_each_by_hand() -> None:
    stratum, place = np.array([1, 0, 1, 2, 1]), np.array([4, 1, 0, 2, 3])
    assert sorted(first_of_each(stratum, place, np.array([1, 2, 0])).tolist()) == [1, 2, 4]


def test_records_come_in_the_order_of_the_draw_and_score_by_it() -> None:
    choice = draw(list(range(1, 41)), [n % 3 == 0 for n in range(40)], seed=4)
    assert (np.diff(choice.score[drawn(choice)]) < 0).all()
    assert sorted(choice.score) == sorted(1 - np.arange(40) / 40)


def test_another_arm_may_be_the_reference() -> None:
    parameters = RandomLength(reference="mine")
    assert METHOD.needs(parameters).references(auto=True) == ("mine",)
    assert METHOD.needs(parameters).references(auto=False) == ("mine",)
    pool = pd.DataFrame({"id": ["a", "b"], "response_tokens": [3, 3]})
    inputs = Inputs({"tokens": pool}, {}, {"mine": pool.assign(kept=[True, False])}, 1, 0)
    assert METHOD.select(inputs, parameters).notes["reference"] == "mine"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tolerance": -0.1}, r"parameter 'tolerance' of method 'random_length' is -0\.1: write "),
        ({"field": "answer"}, "parameter 'field' of method 'random_length' is 'answer': write 'response', 'prompt'"),
        ({"bins": 20}, "method 'random_length' has no parameter 'bins'"),
    ],
)
def test_parameters_that_are_not_allowed(given: dict[str, Any], said: str) -> None:
    with pytest.raises(GradsError, match=said):
        parse_parameters(METHOD, given)
