"""Estimates over crossed items and seeds: what is known of a mean, a difference or a ratio, and how well.

All arms answer the same test items with the same seeds, so items and seeds are crossed. A `Sample` holds a quantity per
seed together with its bootstrap draws, in which items are resampled once for all arms and seeds; differences, means and
ratios of samples are samples again, and stay paired. docs/statistics.md has the formulas, their sources and simulated
coverage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from grads.runtime.errors import GradsError
from grads.tables.statistics import CONFIDENCE

ITEMS_ONLY = "items only"
CROSSED = "items and seeds"
NO_INTERVAL = "none"
LEAST_SEEDS = 3
"""From so many seeds on, an interval covers the seeds too."""
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the bounds of its interval, NaN where none can be computed; n items, and seeds.

    `error` is the standard error and `freedom` its degrees of freedom; `kind` says what the interval covers.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: int
    error: float = math.nan
    freedom: float = math.nan
    kind: str = NO_INTERVAL

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def half(self) -> float:
        """Return half the interval's width."""
        return (self.high - self.low) / 2

    @property
    def p(self) -> float:
        """Return the two-sided p-value of the hypothesis that the value is 0; NaN without an interval."""
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return float(self.value == 0)
        return float(2 * stdtr(self.freedom, -abs(self.value) / self.error))

    @property
    def detectable(self) -> float:
        """Return the smallest true difference that a test at 5 % sees with 80 % power: (t_.975 + t_.8) standard errors.

        NaN where all items agree, which leaves no error to judge by. Source: Bloom, Evaluation Review 19(5), 1995,
        "Minimum detectable effects".
        """
        if self.error == 0:
            return math.nan
        return (_quantile(self.freedom, (1 + CONFIDENCE) / 2) + _quantile(self.freedom, POWER)) * self.error

    def bounds(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the t interval at a confidence."""
        half = _quantile(self.freedom, (1 + confidence) / 2) * self.error
        return self.value - half, self.value + half


ABSENT = Estimate(math.nan, math.nan, math.nan, 0, 0)


@dataclass(frozen=True, eq=False)
class Sample:
    """A quantity per seed.

    Attributes:
        values: shape (seeds,), in the order of the seeds; one value where no seed plays a part (the untuned model).
        draws: shape (seeds, REPLICATES), its bootstrap draws over items; none where items are not known.
        items: how many items; of a mean over several sets of items, the fewest.
    """

    values: np.ndarray
    draws: np.ndarray | None
    items: int

    @property
    def value(self) -> float:
        """Return the mean over seeds."""
        return float(self.values.mean())

    def estimate(self) -> Estimate:
        """Return mean, standard error, degrees of freedom and interval; a single item says nothing of an error."""
        seeds = len(self.values)
        if self.draws is None or self.items < 2:
            return Estimate(self.value, math.nan, math.nan, self.items, seeds)
        items, both = _item_variances(self.draws, self.items)
        if seeds < LEAST_SEEDS:
            error, freedom, kind = math.sqrt(items), float(max(1, self.items - 1)), ITEMS_ONLY
        else:
            error, freedom = crossed_error(items, float(self.values.var(ddof=1)) / seeds, both, self.items, seeds)
            kind = CROSSED
        low, high = Estimate(self.value, 0, 0, 0, 0, error, freedom).bounds()
        return Estimate(self.value, low, high, self.items, seeds, error, freedom, kind)


def crossed_error(items: float, seeds: float, both: float, item_count: int, seed_count: int) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a mean over crossed items and seeds.

    The two-way random effects model has mean squares A of items, B of seeds and E of the residual; the variance of the
    grand mean of I items and S seeds is (A + B - E) / (I S), with degrees of freedom by Satterthwaite (Biometrics
    Bulletin 2, 1946). Where the residual exceeds one of the others, whose true component may then be none, the larger
    of the two stands alone, with its own degrees of freedom.

    Args:
        items: A / (I S).
        seeds: B / (I S), the variance of the seeds' values divided by their number.
        both: E / (I S).
        item_count: I.
        seed_count: S.
    """
    of_items, of_seeds = max(1, item_count - 1), seed_count - 1
    if both > min(items, seeds):
        return (math.sqrt(items), float(of_items)) if items >= seeds else (math.sqrt(seeds), float(of_seeds))
    variance = items + seeds - both
    if variance == 0:
        return 0.0, float(of_seeds)
    spread = items**2 / of_items + seeds**2 / of_seeds + both**2 / (of_items * of_seeds)
    return math.sqrt(variance), variance**2 / spread


def _item_variances(draws: np.ndarray, items: int) -> tuple[float, float]:
    """Return A / (I S) and E / (I S), see `crossed_error`, from draws of shape (seeds, replicates).

    The bootstrap's variance of a mean of I items is (I - 1) / I of the unbiased one (Efron & Tibshirani 1993, chapter
    5), which is made up for here. What the seeds' draws do not have in common is the residual.
    """
    seeds, correction = len(draws), items / max(1, items - 1)
    mean = draws.mean(axis=0)
    both = float((draws - mean).var(axis=1).sum()) / (seeds - 1) / seeds if seeds > 1 else 0.0
    return float(mean.var()) * correction, both * correction


def difference(one: Sample, other: Sample) -> Sample:
    """Return one minus the other, paired by item and by seed."""
    _same_seeds([one, other])
    drawn = None if one.draws is None or other.draws is None else one.draws - other.draws
    return Sample(one.values - other.values, drawn, min(one.items, other.items))


def average(samples: Sequence[Sample]) -> Sample:
    """Return the unweighted mean of several quantities, such as an accuracy over tasks."""
    _same_seeds(samples)
    drawn = [sample.draws for sample in samples if sample.draws is not None]
    seeds = max(len(sample.values) for sample in samples)
    values = np.mean([np.broadcast_to(sample.values, (seeds,)) for sample in samples], axis=0)
    draws = None
    if len(drawn) == len(samples):
        draws = np.mean([np.broadcast_to(one, (seeds, one.shape[1])) for one in drawn], axis=0)
    return Sample(values, draws, min(sample.items for sample in samples))


def shifted(sample: Sample, by: float) -> Sample:
    """Return a quantity plus a constant."""
    return Sample(sample.values + by, None if sample.draws is None else sample.draws + by, sample.items)


def scaled(sample: Sample, by: float) -> Sample:
    """Return a quantity times a constant."""
    return Sample(sample.values * by, None if sample.draws is None else sample.draws * by, sample.items)


def ratio(one: Sample, other: Sample) -> Sample | None:
    """Return one divided by the other, as a ratio of means over seeds; none where the divisor is not above 0.

    Its spread is that of the linear approximation at the means (the delta method). It has no draws, hence no interval,
    where the divisor's own interval reaches 0: no bounded interval is right there (Fieller, JRSS B 16, 1954).
    """
    _same_seeds([one, other])
    base = other.value
    if not base > 0:
        return None
    share = one.value / base
    values = share + (one.values - one.value - share * (other.values - base)) / base
    draws = None
    if one.draws is not None and other.draws is not None and other.estimate().low > 0:
        draws = share + (one.draws - one.value - share * (other.draws - base)) / base
    return Sample(values, draws, min(one.items, other.items))


def _same_seeds(samples: Sequence[Sample]) -> None:
    counts = {len(sample.values) for sample in samples}
    if len(counts - {1}) > 1:
        raise GradsError(f"runs of {sorted(counts)} seeds cannot be compared: run all arms with the same seeds")


def _quantile(freedom: float, probability: float) -> float:
    return float(stdtrit(freedom, probability))
