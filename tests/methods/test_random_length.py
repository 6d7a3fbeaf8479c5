"""The length-matched draw: its bins, its counts and the overlap that chance explains."""

from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grads.methods.contract import Choice, Inputs
from grads.methods.random_length import BINS, METHOD, RandomLength, length_bins

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80)


def draw(lengths: list[int], kept: list[bool], seed: int = 0) -> Choice:
    pool = pd.DataFrame({"id": [f"{n:03d}" for n in range(len(lengths))], "response_tokens": lengths})
    reference = pool[["id"]].assign(kept=kept)
    return METHOD.select(Inputs({"tokens": pool}, {}, {"grads": reference}, sum(kept), seed), RandomLength())


@given(LENGTHS)
def test_bins_rise_with_the_length_and_equal_lengths_share_theirs(lengths: list[int]) -> None:
    bins = length_bins(np.array(lengths))
    order = np.argsort(lengths, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    assert len(np.unique(bins)) <= BINS
    for length in set(lengths):
        assert len(set(bins[np.array(lengths) == length])) == 1


@given(st.integers(1, 30))
def test_distinct_lengths_fall_into_twenty_equal_bins(each: int) -> None:
    lengths = np.random.default_rng(each).permutation(BINS * each)
    assert np.bincount(length_bins(lengths)).tolist() == [each] * BINS


@settings(max_examples=40)
@given(LENGTHS, st.data())
def test_every_bin_gives_as_many_as_the_reference_keeps_there(lengths: list[int], data: Any) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    choice = draw(lengths, kept, data.draw(st.integers(0, 99)))
    bins = length_bins(np.array(lengths))
    assert choice.order is not None
    assert len(set(choice.order.tolist())) == len(choice.order) == sum(kept)
    taken = np.bincount(bins[choice.order], minlength=BINS)
    assert taken.tolist() == np.bincount(bins[np.array(kept)], minlength=BINS).tolist()


def mean_overlap(members: int, kept: int) -> float:
    """Return what `kept` draws without replacement have in common with as many of the members, over all draws."""
    ways = [comb(kept, both) * comb(members - kept, kept - both) for both in range(kept + 1)]
    return sum(both * number for both, number in enumerate(ways)) / sum(ways)


@settings(max_examples=40)
@given(LENGTHS, st.data())
def test_the_overlap_of_chance_is_the_mean_of_hypergeometric_draws(lengths: list[int], data: Any) -> None:
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths))))
    choice = draw(lengths, kept.tolist())
    bins = length_bins(np.array(lengths))
    expected = sum(mean_overlap(int((bins == one).sum()), int(kept[bins == one].sum())) for one in set(bins))
    assert choice.notes["overlap_expected_by_chance"] == pytest.approx(expected, abs=1e-3)
    assert choice.order is not None
    assert choice.notes["overlap"] == kept[choice.order].sum()
    assert choice.notes["length_bins"] == len(set(bins))


def test_within_a_bin_every_record_is_drawn_equally_often() -> None:
    lengths = [5] * 6 + [50] * 6
    kept = [True, True, *[False] * 4, True, *[False] * 5]
    counts = np.zeros(12)
    for seed in range(150):
        order = draw(lengths, kept, seed).order
        assert order is not None
        counts[order] += 1
    assert counts[:6].sum() == 300
    assert counts[6:].sum() == 150
    # Chi-square with 5 degrees of freedom in each bin: 25.7 is its 0.9999 quantile.
    for part, mean in ((counts[:6], 50), (counts[6:], 25)):
        assert ((part - mean) ** 2 / mean).sum() < 25.7


def test_a_bin_that_the_reference_empties_is_emptied_here_too() -> None:
    lengths = [1, 1, 1, 90, 90, 90]
    choice = draw(lengths, [False, False, False, True, True, True])
    assert choice.order is not None
    assert sorted(choice.order) == [3, 4, 5]
    assert choice.notes["overlap"] == 3
    assert choice.notes["overlap_expected_by_chance"] == 3


def test_records_come_in_the_order_of_the_draw_and_score_by_it() -> None:
    choice = draw(list(range(1, 41)), [n % 3 == 0 for n in range(40)], seed=4)
    assert choice.order is not None
    assert (np.diff(choice.score[choice.order]) < 0).all()
    assert sorted(choice.score) == sorted(1 - np.arange(40) / 40)


def test_another_arm_may_be_the_reference() -> None:
    parameters = RandomLength(reference="mine")
    assert METHOD.needs(parameters).references(auto=True) == ("mine",)
    assert METHOD.needs(parameters).references(auto=False) == ("mine",)
    pool = pd.DataFrame({"id": ["a", "b"], "response_tokens": [3, 3]})
    inputs = Inputs({"tokens": pool}, {}, {"mine": pool.assign(kept=[True, False])}, 1, 0)
    assert METHOD.select(inputs, parameters).notes["reference"] == "mine"
