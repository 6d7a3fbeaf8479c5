"""Which differences a study will be able to see: the spread of a difference for items and seeds that are not there yet.

It is that of a pilot with other numbers of both, or that of standard deviations that somebody states; from there on it
is what tables take for `detectable`.
"""

import dataclasses
import math
from dataclasses import dataclass

from grads.report.statistics.samples import ABSENT, LEAST_SEEDS, Estimate, Part, Spread


@dataclass(frozen=True)
class Design:
    """How much is measured: groups of items that are drawn together (items where each is its own), and seeds."""

    groups: int
    seeds: int


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of the difference of two runs, in the metric's units.

    Attributes:
        items: over items, of an item's mean difference over seeds.
        seeds: over seeds, of a seed's mean difference over items, as far as the items do not explain it.
    """

    items: float
    seeds: float


def stated(deviations: Deviations, design: Design) -> Spread:
    """Return the spread that stated deviations have; below three seeds it is that of the items alone."""
    items = Part(deviations.items / math.sqrt(design.groups), design.groups - 1)
    if design.seeds < LEAST_SEEDS:
        return Spread(items)
    return Spread(items, Part(deviations.seeds / math.sqrt(design.seeds), design.seeds - 1))


def extrapolated(pilot: Spread, had: Design, design: Design) -> Spread:
    """Return the spread of a pilot's difference as it is with other numbers of groups and seeds.

    The parts of the variance of a mean over I groups and S seeds are those of groups and of seeds, v_i = s_i / I + e
    and v_s = s_s / S + e, with e = s_e / (I S) in both (`crossed_spread`): s_i, s_s and s_e are the pilot's. Where by
    chance e is larger than v_i or v_s, it is as large, so that the pilot's own numbers give the pilot's own spread. Of
    a pilot of fewer than three seeds nothing is known of the seeds, nor of a study of fewer.
    """
    was = min(part.error**2 for part in (pilot.items, pilot.seeds, Part(pilot.both, 1)) if part is not None)
    residual = was * (had.groups * had.seeds) / (design.groups * design.seeds)
    of_items = (pilot.items.error**2 - was) * had.groups / design.groups + residual
    items = Part(math.sqrt(of_items), design.groups - 1)
    if pilot.seeds is None or design.seeds < LEAST_SEEDS:
        return Spread(items)
    of_seeds = (pilot.seeds.error**2 - was) * had.seeds / design.seeds + residual
    return Spread(items, Part(math.sqrt(of_seeds), design.seeds - 1), math.sqrt(residual))


def smallest(spread: Spread, design: Design, level: float) -> float:
    """Return the smallest true difference that a test at a level sees with 80 % power; infinite for too few groups."""
    found = dataclasses.replace(ABSENT, spread=spread, possible_p=2.0 ** (1 - design.groups))
    return found.detectable(level)


def design_of(found: Estimate) -> Design:
    """Return of how many groups and seeds an estimate is."""
    return Design(found.groups, found.seeds)
