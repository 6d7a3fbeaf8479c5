import pytest

from benchmarks.bars import median_seconds, outcomes, ratio
from benchmarks.client import Run
from benchmarks.scaling import slope


def runs(*seconds):
    return [Run(one, 2 * one, 1) for one in seconds]


def test_one_slow_repeat_does_not_move_the_median():
    assert median_seconds(runs(1.0, 1.2, 9.0, 1.1, 1.0)) == 1.1


def test_a_ratio_needs_both_contestants():
    measured = {"signals": runs(1.0), "plain": runs(2.0)}
    assert ratio(measured, "signals", "plain") == 0.5
    assert ratio(measured, "signals", "bergson") is None
    assert ratio(measured, "all", "plain") is None


def test_bars_are_met_at_their_limit_and_not_above():
    found = {one.bar.peer: one for one in outcomes({"signals": runs(0.9), "plain": runs(1.0), "bergson": runs(1.9)})}
    assert set(found) == {"plain", "bergson"}
    assert found["plain"].met
    assert not found["bergson"].met


def test_all_signals_together_are_held_against_the_signals_alone():
    (outcome,) = outcomes({"signals": runs(1.0), "all": runs(1.7)})
    assert (outcome.bar.most, outcome.met) == (1.6, False)


@pytest.mark.parametrize("exponent", [1.0, 1.5])
def test_the_slope_is_the_exponent_of_a_power(exponent):
    points = [{"tokens": tokens, "seconds": 0.003 * tokens**exponent} for tokens in (64, 128, 1024)]
    assert slope(points) == pytest.approx(exponent)
