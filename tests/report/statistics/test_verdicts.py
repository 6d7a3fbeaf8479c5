"""Decisions on a family: by hand, and where the truth is known."""

import math

import numpy as np
import pytest

from grads.report.statistics.bootstrap import group_items
from grads.report.statistics.samples import CROSSED, ITEMS_ONLY, Estimate, Part, Spread, difference, measured
from grads.report.statistics.verdicts import NO_LARGER, REFUTED, SUPPORTED, UNDECIDED, Question, decide


def estimate(value: float, error: float = 1.0, kind: str = CROSSED) -> Estimate:
    """Return an estimate whose test is a normal one."""
    return Estimate(value, value - 2 * error, value + 2 * error, 50, 3, 50, Spread(Part(error, math.inf)), kind)


def verdicts(*values: float, margin: float | None = None, significance: float = 0.05) -> list[str]:
    return [one.verdict for one in decide([Question(estimate(value), margin) for value in values], significance)]


def test_decisions_by_hand():
    """Three normal tests: levels 0.05/3, 0.05/2, then stop; two-sided quantiles 2.394 and 2.241."""
    assert verdicts(2.1, 3.0, -2.3) == [SUPPORTED, SUPPORTED, REFUTED]
    assert verdicts(1.9, 2.3, -2.2) == [UNDECIDED] * 3
    first, second, third = decide([Question(estimate(value)) for value in (3.0, 2.2, 1.0)])
    assert (first.verdict, second.verdict, third.verdict) == (SUPPORTED, UNDECIDED, UNDECIDED)
    # After the stop all bounds are those of the level that failed.
    assert [one.level for one in (first, second, third)] == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])
    assert (second.low, second.high) == pytest.approx((2.2 - 2.241, 2.2 + 2.241), abs=1e-3)
    assert third.low == pytest.approx(1.0 - 2.241, abs=1e-3)


def test_a_true_null_can_come_out():
    """Within its margin at the level of the test, 0.05/2: 2.241 errors either way."""
    family = [Question(estimate(0.5), 2.8), Question(estimate(-0.5), 2.7)]
    assert [one.verdict for one in decide(family)] == [NO_LARGER, UNDECIDED]
    # What is told from 0 is said so, be it ever so small.
    assert verdicts(2.5, margin=9.0) == [SUPPORTED]


def test_bounds_verdict_and_p_say_the_same():
    generator = np.random.default_rng(0)
    for significance in (0.05, 0.05 / 7):
        for _ in range(100):
            values = generator.normal(1.5, 2, size=7)
            for one in decide([Question(estimate(float(value)), 3.0) for value in values], significance):
                assert (one.verdict in (UNDECIDED, NO_LARGER)) == (one.low <= 0 <= one.high) == (one.p > 0.05)
                assert (one.verdict == SUPPORTED) == (one.low > 0)
                assert (one.verdict == REFUTED) == (one.high < 0)
                assert (one.verdict == NO_LARGER) == (-3 < one.low <= 0 <= one.high < 3)


@pytest.mark.parametrize(
    "unknown",
    [Estimate(5.0, math.nan, math.nan, 10, 3), estimate(5.0, kind=ITEMS_ONLY)],
    ids=["no interval", "one seed"],
)
def test_what_cannot_be_tested_is_undecided_and_counts(unknown):
    first, second = decide([Question(unknown, 99.0), Question(estimate(2.1))])
    assert math.isnan(first.p)
    assert math.isnan(first.low)
    assert first.verdict == UNDECIDED
    # 2.1 is not enough for the first of two.
    assert second.verdict == UNDECIDED
    assert verdicts(2.1) == [SUPPORTED]


def test_no_questions_no_decisions():
    assert decide([]) == []


def family(generator, effects, seeds, of_seeds):
    """Return estimates of differences of several arms to one, all of which answer the same 80 items."""
    hardness = generator.normal(size=(80, 1))

    def arm(effect):
        luck = math.sqrt(of_seeds) * generator.normal(size=(1, seeds))
        table = effect + luck + hardness + 0.3 * generator.normal(size=(80, 1)) + generator.normal(size=(80, seeds))
        groups = [group_items(column[:, None]) for column in table.T]
        return measured(table.mean(axis=0).tolist(), groups, "mean", "truth", "cells")

    base = arm(0.0)
    return [Question(difference(arm(effect), base).estimate()) for effect in effects]


@pytest.mark.parametrize(("seeds", "of_seeds"), [(3, 0.0), (3, 0.05), (3, 0.5), (5, 0.05), (10, 0.05)])
def test_true_nulls_are_left_alone(seeds, of_seeds):
    """The family-wise error of six claims of which none is true; benchmarks/results/statistics.md has the grid."""
    generator, errors, runs = np.random.default_rng(7), 0, 200
    for _ in range(runs):
        errors += any(one.verdict != UNDECIDED for one in decide(family(generator, [0.0] * 6, seeds, of_seeds)))
    assert errors / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_true_effects_are_found_on_their_side():
    generator, found = np.random.default_rng(7), []
    for _ in range(60):
        found.append([one.verdict for one in decide(family(generator, [1.2, 1.2, -1.2, 0.0], 5, 0.01))])
    assert np.mean([row[:3] == [SUPPORTED, SUPPORTED, REFUTED] for row in found]) > 0.9
    assert np.mean([row[3] != UNDECIDED for row in found]) < 0.15
