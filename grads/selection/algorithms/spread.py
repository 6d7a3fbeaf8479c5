"""How much a record adds to the diversity of those chosen, and the greedy choice by that."""

from typing import Literal, Protocol

import numpy as np

# Decimals of gains and cosines that count; what lies below is rounding, and must not decide between equals.
DECIMALS = 6
# Variance of the noise next to a direction's of length 1.
RIDGE = 0.1

SetMeasure = Literal["mean_distance", "log_det"]


class Uncertainty:
    """Predictive variances of a Bayesian linear model at N points, given the points that were taken.

    With unit prior variance of each weight and noise of variance `ridge`, the variance at x is x' M x, with
    M = (I + A' A / ridge)^-1 and A the rows taken. It costs N d + d^2 steps a point (Sherman and Morrison).

    Args:
        rows: N x d.
        ridge: above 0.

    Attributes:
        variance: N numbers of at least 0; before any point is taken the squared lengths.
    """

    def __init__(self, rows: np.ndarray, ridge: float = RIDGE) -> None:
        self.rows = rows
        self.ridge = ridge
        self.inverse = np.eye(rows.shape[1])
        self.variance = np.square(rows, dtype=np.float64).sum(axis=1)

    def take(self, row: int) -> None:
        """Take the point at a position of the N."""
        point = self.rows[row].astype(np.float64)
        turned = self.inverse @ point
        noisy = self.ridge + float(point @ turned)
        self.variance = np.maximum(self.variance - np.square(self.rows @ turned) / noisy, 0.0)
        self.inverse -= np.outer(turned, turned / noisy)


class Spread(Protocol):
    """The diversity of the set of those chosen."""

    def gains(self) -> np.ndarray:
        """Return what each of N records would add, N numbers of scale one."""

    def take(self, record: int, cosines: np.ndarray) -> None:
        """Add a record, whose cosines to all N are given."""


class MeanDistance:
    """A record adds its mean distance 1 - cosine to those chosen; before there are any, that to all N."""

    def __init__(self, directions: np.ndarray) -> None:
        self.to_all = 1 - directions @ directions.mean(axis=0, dtype=np.float64)
        self.total = np.zeros(len(directions))
        self.chosen = 0

    def gains(self) -> np.ndarray:
        """Return N means."""
        return np.round(self.total / self.chosen if self.chosen else self.to_all, DECIMALS)

    def take(self, record: int, cosines: np.ndarray) -> None:
        """Add a record."""
        self.total += 1 - cosines
        self.chosen += 1


class LogDeterminant:
    """A record adds what it changes log det(I + K / ridge) by, K the cosines of those chosen.

    In units of what a record at right angles to all others adds, so between 0 and 1. The increments are log(1 + v /
    ridge), v the variance that the others leave (L. Chen et al., Fast Greedy MAP Inference for Determinantal Point
    Process, arXiv 1709.05135, with a ridge).
    """

    def __init__(self, directions: np.ndarray) -> None:
        self.uncertainty = Uncertainty(directions)

    def gains(self) -> np.ndarray:
        """Return N increments."""
        ridge = self.uncertainty.ridge
        return np.round(np.log1p(self.uncertainty.variance / ridge) / np.log1p(1 / ridge), DECIMALS)

    def take(self, record: int, cosines: np.ndarray) -> None:
        """Add a record."""
        self.uncertainty.take(record)


SPREADS: dict[SetMeasure, type[MeanDistance] | type[LogDeterminant]] = {
    "mean_distance": MeanDistance,
    "log_det": LogDeterminant,
}


def spread_greedy(
    fixed: np.ndarray,
    directions: np.ndarray,
    measure: SetMeasure,
    diversity: float,
    similarity: float,
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose `count` of N records one by one, each by what it adds to those before it.

    That is its fixed score, plus `diversity` times what it adds to the measure, minus `similarity` times its largest
    cosine to a chosen record. It costs N d steps a record.

    Args:
        fixed: N scores.
        directions: N x d of length 1, or 0.
        measure: of the set's diversity.
        diversity: at least 0.
        similarity: at least 0.
        count: at most N.

    Returns:
        N scores, those of chosen records as they were chosen, and the positions of these in the order of their choice;
        ties go to the first position.
    """
    spread: Spread = SPREADS[measure](directions)
    score = fixed + diversity * spread.gains()
    open_ = np.ones(len(fixed), dtype=bool)
    largest = np.full(len(fixed), -np.inf)
    order: list[int] = []
    while len(order) < count:
        best = int(np.argmax(np.where(open_, score, -np.inf)))
        order.append(best)
        open_[best] = False
        cosines = np.round(directions @ directions[best], DECIMALS).astype(np.float64)
        largest = np.maximum(largest, cosines)
        spread.take(best, cosines)
        score = np.where(open_, fixed + diversity * spread.gains() - similarity * largest, score)
    return score, np.array(order, dtype=int)
