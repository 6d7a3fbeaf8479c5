import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.report.rendering.layout import ABSENT, number, places, signed, spread


@pytest.mark.parametrize(
    ("value", "plain", "with_sign"),
    [(1.25, "1.2", "+1.2"), (-1.26, "\u22121.3", "\u22121.3"), (-0.04, "0.0", "0.0"), (0.0, "0.0", "0.0")],
)
def test_numbers_have_a_typographic_minus_and_no_negative_zero(value, plain, with_sign):
    assert number(value, 1) == plain
    assert signed(value, 1) == with_sign


def test_spread_is_empty_without_an_interval():
    assert spread(math.nan, 2) == ""
    assert spread(0.126, 2) == "±0.13"


def test_places_in_both_directions():
    assert places([3.0, 5.0, 4.0, 1.0], 1, higher_is_better=True) == [0, 1, 2, 0]
    assert places([3.0, 5.0, 4.0, 1.0], 1, higher_is_better=False) == [2, 0, 0, 1]


def test_what_prints_alike_is_marked_alike():
    assert places([0.3119, 0.3121, 0.3101], 3, higher_is_better=True) == [1, 1, 2]
    assert places([7.0], 2, higher_is_better=True) == [1]


def test_what_is_not_there_is_a_dash_and_has_no_place():
    assert number(math.nan, 1) == signed(math.nan, 1) == ABSENT
    assert places([math.nan, 2.0, 3.0, math.nan], 1, higher_is_better=True) == [0, 2, 1, 0]


NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, st.integers(0, 4))
def test_a_printed_number_is_the_nearest_and_its_sign_is_seen(value, decimals):
    text = number(value, decimals)
    assert abs(float(text.replace("\u2212", "-")) - value) <= 0.5 * 10**-decimals + 1e-9
    assert "-" not in text
    shown = signed(value, decimals)
    assert shown.lstrip("+") == text
    assert shown.startswith("+") == (float(text.replace("\u2212", "-")) > 0)


@given(st.lists(NUMBERS | st.just(math.nan), max_size=8), st.integers(0, 3), st.booleans())
def test_places_are_the_two_best_as_printed(values, decimals, higher):
    """Nothing printed differently shares a place, and nothing without a place prints better than what has one.

    Where all of several look equal, none is the best.
    """
    found = places(values, decimals, higher)
    printed = [round(value, decimals) for value in values]
    distinct = sorted({one for one in printed if not math.isnan(one)}, reverse=higher)
    for value, place in zip(printed, found, strict=True):
        rank = math.inf if math.isnan(value) else distinct.index(value) + 1
        alike = len(distinct) == 1 and printed.count(distinct[0]) > 1
        assert place == (rank if rank <= 2 and not alike else 0)


@given(st.lists(NUMBERS, max_size=8))
def test_lower_is_better_is_the_mirror(values):
    assert places(values, 1, higher_is_better=False) == places([-value for value in values], 1, higher_is_better=True)


@pytest.mark.parametrize("half", [0.0, 0.004, 1.25])
def test_a_spread_has_the_decimals_of_its_value(half):
    assert spread(half, 2) == f"±{half:.2f}"
    assert spread(half, 0) == f"±{half:.0f}"
