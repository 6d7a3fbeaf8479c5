"""What a study could see: by hand, and against what tables find in a study of that size."""

import math

import numpy as np
import pytest
from scipy import stats

from grads.report.statistics.bootstrap import group_items
from grads.report.statistics.planning import Design, Deviations, design_of, extrapolated, smallest, stated
from grads.report.statistics.samples import Part, Sample, Spread, difference, measured


def test_stated_deviations_by_hand() -> None:
    spread = stated(Deviations(items=0.5, seeds=0.02), Design(100, 4))
    assert (spread.items.error, spread.items.freedom) == (pytest.approx(0.05), 99)
    assert spread.seeds == Part(0.01, 3)
    # Half the interval at 5 % and at a power of 80 %, each part with a t quantile of its own.
    halves = [
        math.hypot(stats.t.ppf(quantile, 99) * 0.05, stats.t.ppf(quantile, 3) * 0.01) for quantile in (0.975, 0.8)
    ]
    assert smallest(spread, Design(100, 4), 0.05) == pytest.approx(sum(halves))
    assert stated(Deviations(0.5, 0.02), Design(100, 2)).seeds is None


def test_more_items_and_seeds_see_more_and_few_items_nothing() -> None:
    deviations = Deviations(0.5, 0.02)
    found = [smallest(stated(deviations, Design(items, 5)), Design(items, 5), 0.05) for items in (100, 400, 1600)]
    assert found == sorted(found, reverse=True)
    seeds = [smallest(stated(deviations, Design(400, number)), Design(400, number), 0.05) for number in (3, 5, 12)]
    assert seeds == sorted(seeds, reverse=True)
    assert smallest(stated(deviations, Design(5, 5)), Design(5, 5), 0.05) == math.inf


def test_the_same_design_is_the_pilot_itself() -> None:
    pilot = Spread(Part(0.05, 99), Part(0.03, 4), 0.02)
    found = extrapolated(pilot, Design(100, 5), Design(100, 5))
    assert (found.items, found.seeds, found.both) == (
        Part(pytest.approx(0.05), 99),
        Part(pytest.approx(0.03), 4),
        pytest.approx(0.02),
    )
    assert extrapolated(Spread(Part(0.05, 99)), Design(100, 1), Design(400, 5)) == Spread(Part(0.025, 399))


def sample_of(groups: int, seeds: int, random: np.random.Generator) -> Sample:
    """Return the difference of two runs whose items, seeds and residuals vary by 0.3, 0.05 and 0.2."""

    def run(item: np.ndarray, seed: np.ndarray) -> Sample:
        values = 1 + item + seed[:, None] + random.normal(scale=0.2 / 2**0.5, size=(seeds, groups))
        tables = [group_items(one[:, None], []) for one in values]
        return measured(values.mean(axis=1), tables, "mean", "items", "cells")

    item, seed = random.normal(scale=0.3, size=groups), random.normal(scale=0.05, size=seeds)
    return difference(run(item, seed), run(np.zeros(groups), np.zeros(seeds)))


def test_a_pilot_foresees_what_a_larger_study_finds() -> None:
    random = np.random.default_rng(0)
    large = Design(400, 8)
    foreseen, found = [], []
    for _ in range(60):
        pilot = sample_of(60, 4, random).estimate()
        assert pilot.spread is not None
        foreseen.append(smallest(extrapolated(pilot.spread, design_of(pilot), large), large, 0.01))
        found.append(sample_of(400, 8, random).estimate().detectable(0.01))
    assert np.sqrt(np.mean(np.square(foreseen))) == pytest.approx(np.sqrt(np.mean(np.square(found))), rel=0.1)
