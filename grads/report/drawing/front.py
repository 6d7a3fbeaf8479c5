"""The Pareto front: runs that no other run beats in what is learnt and what is forgotten, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grads.report.statistics.draws import crossed_draws
from grads.report.statistics.estimates import Run
from grads.report.statistics.samples import Sample


@dataclass(frozen=True)
class Position:
    """Where a run stands: what it forgets and what it gains, oriented so that less is better of the first."""

    run: Run
    forgotten: Sample
    gained: Sample


@dataclass(frozen=True)
class Front:
    """The Pareto front of some runs.

    Attributes:
        runs: those on the front of the estimates, by what they forget.
        frequencies: of every run, the share of bootstrap draws in which it is on the draw's front.
    """

    runs: list[Run]
    frequencies: dict[Run, float]


def unbeaten(costs: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Return which points no other beats, for each of several draws.

    One point beats another if it costs no more and gains no less, and is not equal to it.

    Args:
        costs: shape (draws, points); less is better.
        gains: shape (draws, points); more is better.

    Returns:
        Booleans of shape (draws, points).
    """
    beaten = np.zeros(costs.shape, dtype=bool)
    for place in range(costs.shape[1]):
        cost = costs[:, place, None]
        gain = gains[:, place, None]
        no_worse = (cost <= costs) & (gain >= gains)
        beaten |= no_worse & ((cost < costs) | (gain > gains))
    return ~beaten


def pareto_front(positions: Sequence[Position], with_origin: bool) -> Front | None:
    """Return the front of some runs with the bootstrap frequency of each; none where that cannot be known.

    It can be known from three seeds on, where the items of all measurements are known. All runs meet the same draws of
    groups of items and of seeds.

    Args:
        positions: of the runs.
        with_origin: whether a model that forgets and gains nothing, the untuned one, may beat them.
    """
    drawn = [(crossed_draws(one.forgotten), crossed_draws(one.gained)) for one in positions]
    costs = [cost for cost, _ in drawn if cost is not None]
    gains = [gain for _, gain in drawn if gain is not None]
    if not positions or len(costs) + len(gains) < 2 * len(positions):
        return None
    costs.append(np.zeros_like(costs[0]))
    gains.append(np.zeros_like(gains[0]))
    count = len(positions) + with_origin
    shares = unbeaten(np.column_stack(costs[:count]), np.column_stack(gains[:count])).mean(axis=0)
    values = np.array([[one.forgotten.value, one.gained.value] for one in positions] + [[0.0, 0.0]])[:count]
    on_front = unbeaten(values[None, :, 0], values[None, :, 1])[0]
    runs = [place for place in np.argsort(values[: len(positions), 0], kind="stable") if on_front[place]]
    frequencies = {one.run: float(share) for one, share in zip(positions, shares, strict=False)}
    return Front([positions[place].run for place in runs], frequencies)
