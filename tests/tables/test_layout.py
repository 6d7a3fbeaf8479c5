import math

import pytest

from grads.tables.layout import ABSENT, number, places, signed, spread


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
