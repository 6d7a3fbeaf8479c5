"""Estimates over crossed items and seeds: what is known of a mean, a difference or a ratio, and how well.

All arms answer the same test items with the same seeds, so items and seeds are crossed. A `Sample` holds a quantity per
seed together with how it varies over draws of items (of whole groups, where items belong together), the same draws for
all arms and seeds; differences, means and ratios of samples are samples again, and stay paired. docs/statistics.md has
the formulas, their sources and simulated coverage.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, ndtri, stdtrit

from grads.report.statistics.bootstrap import CHANGE, CONFIDENCE, Groups, deviations
from grads.runtime.errors import GradsError

ITEMS_ONLY = "items only"
CROSSED = "items and seeds"
NO_INTERVAL = "none"
LEAST_SEEDS = 3
"""From so many seeds on, an interval covers the seeds too, and there are tests."""
POWER = 0.8
SEPARATOR = "\x1f"
"""Between the name of a set of items and the statistic, in the names of `Sample.sets`."""
_ROUNDING = 1e-10
"""Relative to the values that were subtracted: what is smaller is the rounding of floating-point numbers."""


Numbers = float | np.ndarray


def joint(items: Numbers, seeds: Numbers, both: Numbers) -> Numbers:
    """Return the length of what items and seeds add up to in quadrature, less what the two have in common.

    It is never less than that of the items, which differ from draw to draw whatever the seeds do.
    """
    return np.maximum(items, np.sqrt(np.maximum(items**2 - both**2, 0.0) + seeds**2))


def two_sided(freedom: Numbers, level: float) -> Numbers:
    """Return the two-sided t quantile of a level: the standard normal's where the degrees of freedom are infinite."""
    return -stdtrit(freedom, level / 2)


def for_few_changes(changed: Numbers, groups: Numbers) -> Numbers:
    """Return what the variance over items is multiplied by where so many of the groups differ, at least one.

    Those that do not differ might have: a pseudo-group each way, as large as those that differ, adds 2 / changed of the
    variance, less as more groups differ (all of them: nothing). For right and wrong answers of one seed this is the
    variance of Bonett & Price (Journal of Educational and Behavioral Statistics 37(4), 2012).
    """
    return 1 + 2 * (1 - changed / groups) / changed


@dataclass(frozen=True)
class Part:
    """A part of the variance of an estimate: standard error and degrees of freedom (inf where the error is known)."""

    error: float
    freedom: float


@dataclass(frozen=True)
class Spread:
    """The parts of the variance of an estimate, which rest on different degrees of freedom.

    Attributes:
        items: of items, the residual included: A / (I S) of `crossed_spread`.
        seeds: of seeds, the residual included: B / (I S); none below three seeds.
        both: standard error of the residual, which the two have in common: E / (I S).
    """

    items: Part
    seeds: Part | None = None
    both: float = 0.0

    @property
    def error(self) -> float:
        """Return the standard error of the whole."""
        return float(joint(self.items.error, self.seeds.error if self.seeds else 0.0, self.both))

    def half(self, level: float) -> float:
        """Return half the interval at a two-sided level: each part's error times its own t quantile, in quadrature.

        Such an interval holds the truth at least as often as it says, whatever the variances are (Banerjee, Sankhya 22,
        1960). It is never narrower than that of the items alone.
        """
        of_items = two_sided(self.items.freedom, level)
        of_seeds = self.seeds.error * two_sided(self.seeds.freedom, level) if self.seeds else 0.0
        return float(joint(of_items * self.items.error, of_seeds, of_items * self.both))

    def divided(self, by: float) -> "Spread":
        """Return the spread of a quantity that is divided by a number."""
        seeds = self.seeds and Part(self.seeds.error / by, self.seeds.freedom)
        return Spread(Part(self.items.error / by, self.items.freedom), seeds, self.both / by)


@dataclass(frozen=True)
class Log:
    """Marks a quantity that is judged on the log scale: value = unit x (ratio - shift), the ratio being above 0."""

    unit: float = 1.0
    shift: float = 0.0

    def ratio(self, value: float) -> float:
        """Return the ratio that a value stands for."""
        return value / self.unit + self.shift

    def value(self, ratio: float) -> float:
        """Return the value that stands for a ratio."""
        return self.unit * (ratio - self.shift)


@dataclass(frozen=True)
class Pairs:
    """Right and wrong answers of two runs to the same items: on how many the first alone is right, or the second."""

    gained: int
    lost: int
    items: int
    unit: float = 1.0

    @property
    def p(self) -> float:
        """Return the exact two-sided p-value of McNemar's test: of a fair coin for the items that changed."""
        changed = self.gained + self.lost
        return min(1.0, float(2 * bdtr(min(self.gained, self.lost), changed, 0.5))) if changed else 1.0

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Return the interval of Bonett & Price with a pseudo-item each way; it reaches 0 where the test says so.

        Source: Journal of Educational and Behavioral Statistics 37(4), 2012, "Adjusted Wald confidence interval for a
        difference of binomial proportions based on paired data"; close to the score interval at all sizes.
        """
        gained, lost = ((one + 1) / (self.items + 2) for one in (self.gained, self.lost))
        middle = gained - lost
        half = -float(ndtri((1 - confidence) / 2)) * math.sqrt((gained + lost - middle**2) / (self.items + 2))
        low = max(-1.0, middle - half)
        high = min(1.0, middle + half)
        if self.p > 1 - confidence:
            low = min(low, 0.0)
            high = max(high, 0.0)
        ends = sorted((self.unit * low, self.unit * high))
        return ends[0], ends[1]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the bounds of its interval, NaN where none can be computed.

    Attributes:
        value: the mean.
        low: lower bound at 95 %.
        high: upper bound at 95 %.
        n: how many items.
        seeds: how many seeds.
        groups: how many groups of items that are drawn together; n where each item is its own.
        spread: the parts of the variance, none without an interval.
        kind: what the interval covers.
        least_p: no p-value is below this: that of a sign test when all groups that changed do so alike.
        possible_p: the same if all groups had changed; a test at a lower level can never reject.
        wilson: of a share of right answers, as how many independent items it is known, else 0.
        log: given for a ratio, which is judged on the log scale; its p is of the hypothesis that the ratio is 1.
        pairs: given for a difference of right answers of one seed.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: int
    groups: int = 0
    spread: Spread | None = None
    kind: str = NO_INTERVAL
    least_p: float = 0.0
    possible_p: float = 0.0
    wilson: float = 0.0
    log: Log | None = None
    pairs: Pairs | None = None

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def judged(self) -> bool:
        """Whether there are seeds enough for marks and verdicts."""
        return self.has_interval and self.kind == CROSSED

    @property
    def half(self) -> float:
        """Return half the interval's width."""
        return (self.high - self.low) / 2

    @property
    def error(self) -> float:
        """Return the standard error; NaN without an interval."""
        return self.spread.error if self.spread else math.nan

    @property
    def p(self) -> float:
        """Return the two-sided p-value of the hypothesis that the value is 0; NaN without an interval.

        It is the level at which the interval just reaches 0.
        """
        if self.spread is None:
            return math.nan
        if self.pairs:
            return self.pairs.p
        spread, size = self._scale(self.spread)

        def beyond(exponent: float) -> float:
            return spread.half(10.0**exponent) - size

        if beyond(0.0) >= 0:
            return 1.0
        least = beyond(_LEAST_EXPONENT) < 0
        exponent = _LEAST_EXPONENT if least else brentq(beyond, _LEAST_EXPONENT, 0.0, xtol=1e-10)
        return max(10.0**exponent, self.least_p)

    def detectable(self, level: float = 1 - CONFIDENCE) -> float:
        """Return the smallest true difference that a test at a level sees with 80 % power.

        It is half the interval at that level plus the same at the power: (t_.975 + t_.8) standard errors where one part
        of the variance is all there is (Bloom, Evaluation Review 19(5), 1995, "Minimum detectable effects"). Infinite
        where there are too few groups of items for a test at that level.
        """
        if self.spread is None:
            return math.nan
        return math.inf if self.possible_p > level else self.spread.half(level) + self.spread.half(2 * (1 - POWER))

    def bounds(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the interval at a confidence; 0 is in it exactly where p is above 1 - confidence."""
        if self.spread is None:
            return math.nan, math.nan
        if self.pairs:
            return self.pairs.bounds(confidence)
        spread, size = self._scale(self.spread)
        half = spread.half(1 - confidence)
        if self.wilson:
            return _wilson(self.value, half / self.error, self.wilson)
        if self.least_p > 1 - confidence:
            half = max(half, size)
        if self.log is None:
            return self.value - half, self.value + half
        ratio = self.log.ratio(self.value)
        # A ratio known so badly has no upper bound.
        ends = [self.log.value(ratio * math.exp(min(by, _LARGEST))) for by in (-half, half)]
        return min(ends), max(ends)

    def _scale(self, spread: Spread) -> tuple[Spread, float]:
        """Return the spread on the scale of the test, and there how far the value is from the hypothesis."""
        if self.log is None:
            return spread, abs(self.value)
        ratio = self.log.ratio(self.value)
        return spread.divided(ratio * abs(self.log.unit)), abs(math.log(ratio))


ABSENT = Estimate(math.nan, math.nan, math.nan, 0, 0)
_LEAST_EXPONENT = -100.0
"""p-values below ten to this power are given as that."""
_LARGEST = 300.0


@dataclass(frozen=True, eq=False)
class ItemSet:
    """How a quantity varies over draws of the groups of one set of test items.

    Attributes:
        deviations: by cells that are trained together (a model on a domain), vectors of shape (seeds, entries) whose
            inner products are covariances over draws of groups (see `statistics.deviations`).
        items: how many there are.
        groups: how many of them are drawn.
        sums: what was measured, shape (seeds, groups, columns); none of differences.
        changes: of a difference, or of what is a change itself, how each group differs over all seeds, 0 where in
            nothing; none of plain values.
        unchanged: variance to reckon with where no group differs.
        right_wrong: whether each item's value is 0 or 1.
        pairs: of a difference of right answers of one seed, how many items each run alone has right.
    """

    deviations: Mapping[str, np.ndarray]
    items: int
    groups: int
    sums: np.ndarray | None = None
    changes: np.ndarray | None = None
    unchanged: float = 0.0
    right_wrong: bool = False
    pairs: Pairs | None = None

    @property
    def changed(self) -> int | None:
        """Return how many groups differ; none of plain values."""
        return None if self.changes is None else int(np.count_nonzero(self.changes))


@dataclass(frozen=True, eq=False)
class Sample:
    """A quantity per seed: the sum over cells that are trained together of the means over their seeds.

    Attributes:
        values: by cells that are trained together (a model on a domain), shape (seeds,), in the order of the seeds; one
            value where no seed plays a part (the untuned model).
        sets: by their names, the sets of items that were answered; none where items are not known.
        size: of the largest value that went into it, for telling rounding from difference.
        share: whether it is a share of right answers, between 0 and 1.
        log: given for a ratio, which is judged on the log scale.
        count: how many items there are where no more is known of them.
    """

    values: Mapping[str, np.ndarray]
    sets: Mapping[str, ItemSet] | None
    size: float
    share: bool = False
    log: Log | None = None
    count: int = 0

    @property
    def value(self) -> float:
        """Return the mean over seeds."""
        return float(sum(values.mean() for values in self.values.values()))

    @property
    def seeds(self) -> int:
        """Return how many seeds there are."""
        return max(len(values) for values in self.values.values())

    @property
    def items(self) -> int:
        """Return how many items there are; of several sets of items, the fewest."""
        return min(one.items for one in self.sets.values()) if self.sets else self.count

    def estimate(self) -> Estimate:
        """Return mean, parts of the variance and interval; a single group of items says nothing of an error."""
        value = self.value
        seeds = self.seeds
        items = self.items
        groups = min(one.groups for one in self.sets.values()) if self.sets else items
        if not self.sets or groups < 2:
            return Estimate(value, math.nan, math.nan, items, seeds, groups)
        spread = crossed_spread(self.sets, self)
        changes = [one.changed for one in self.sets.values()]
        changed = sum(one or 0 for one in changes)
        found = Estimate(
            value,
            math.nan,
            math.nan,
            items,
            seeds,
            groups,
            spread,
            CROSSED if seeds >= LEAST_SEEDS else ITEMS_ONLY,
            least_p=0.0 if None in changes else min(1.0, 2.0 ** (1 - changed)),
            possible_p=2.0 ** (1 - sum(one.groups for one in self.sets.values())),
            wilson=self._independent_items(spread, groups) if self.share else 0.0,
            log=self.log if self.log and self.log.ratio(value) > 0 else None,
            pairs=next(iter(self.sets.values())).pairs if len(self.sets) == 1 else None,
        )
        low, high = found.bounds()
        return dataclasses.replace(found, low=low, high=high)

    def _independent_items(self, spread: Spread, groups: int) -> float:
        """Return of how many independent items a share of right answers would have the error that this one has."""
        product = self.value * (1 - self.value)
        alone = math.isinf(spread.items.freedom) and len(self.sets or {}) == 1
        return groups if alone or product <= _ROUNDING else product / spread.error**2


def measured(
    values: Sequence[float], groups: Sequence[Groups], statistic: str, item_set: str, cells: str, share: bool = False
) -> Sample:
    """Return the sample of what was measured with each seed.

    Args:
        values: of the seeds.
        groups: of each seed, what was measured of the items; the same groups of the same items.
        statistic: how the value comes from their sums.
        item_set: name of the set of items; draws of two quantities are paired where they have it in common.
        cells: name of the cells that are trained together, such as those of a model on a domain.
        share: whether each item's value is 0 or 1.
    """
    first = groups[0]
    found = np.asarray(values, dtype=float)
    vectors = np.array([deviations(statistic, one, item_set) for one in groups])
    number = len(first.sizes)
    items = first.items
    loose = float((vectors.mean(axis=0) ** 2).sum())
    size = float(np.abs(found).max())
    weight = 1 / (number + 2)
    sums = np.array([group.sums for group in groups])
    # Right and wrong answers, or values that are all alike: as if those of a whole group were lost.
    alike = share or loose <= (_ROUNDING * size) ** 2
    whole = 1.0 if share or statistic == CHANGE else size
    one = ItemSet(
        {cells: vectors},
        items,
        number,
        sums=sums,
        changes=np.abs(sums).sum(axis=(0, 2)) if statistic == CHANGE else None,
        unchanged=(whole * weight) ** 2 if alike else 2 / number * loose,
        right_wrong=share,
    )
    return Sample({cells: found}, {f"{item_set}{SEPARATOR}{statistic}": one}, size, share)


def crossed_spread(sets: Mapping[str, ItemSet], sample: Sample) -> Spread:
    """Return the parts of the variance of a mean over crossed items and seeds.

    The two-way random effects model has mean squares A of items, B of seeds and E of the residual; the variance of the
    grand mean of I items and S seeds is (A + B - E) / (I S). The parts are kept apart because they rest on different
    degrees of freedom, I - 1 and S - 1. Sets of items add their variances, and so do cells that are trained apart; each
    sum has Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). Below three seeds there is only the part
    of the items. The error of one seed's right and wrong answers follows from their share, and has infinitely many.
    """
    pieces = []
    both = 0.0
    for one in sets.values():
        across = np.sum([rows.mean(axis=0) for rows in one.deviations.values()], axis=0)
        pieces.append(Part(math.sqrt(_with_pseudo_items(float((across**2).sum()), one, sample)), one.groups - 1))
        both += sum(map(_residual, one.deviations.values()))
    items = _added(pieces)
    if sample.seeds < LEAST_SEEDS:
        known = sample.seeds == 1 and sample.share and all(one.groups == one.items for one in sets.values())
        return Spread(Part(items.error, math.inf) if known else items)
    of_seeds = [Part(math.sqrt(one.var(ddof=1) / len(one)), len(one) - 1) for one in sample.values.values()]
    return Spread(items, _added(of_seeds), math.sqrt(both))


def _with_pseudo_items(variance: float, one: ItemSet, sample: Sample) -> float:
    """Return the variance over draws of items, as large as few changes allow.

    Where no group differs, a pair of pseudo-groups stands alone. Where all differ alike, up to rounding, the variance
    is as if one of them had not.
    """
    nothing = (_ROUNDING * sample.size) ** 2
    if one.changed != 0 and variance > nothing:
        return variance * (float(for_few_changes(one.changed, one.groups)) if one.changed else 1.0)
    alike = (sample.value / one.groups) ** 2 if one.changed else 0.0
    return alike if alike > nothing else max(one.unchanged, nothing)


def _residual(rows: np.ndarray) -> float:
    """Return E / (I S) of rows (seeds, entries): what the seeds' draws do not have in common."""
    seeds = len(rows)
    return float(((rows - rows.mean(axis=0)) ** 2).sum()) / (seeds - 1) / seeds if seeds > 1 else 0.0


def _added(parts: Sequence[Part]) -> Part:
    """Return the sum of independent parts, with Satterthwaite's degrees of freedom."""
    variances = np.array([part.error**2 for part in parts])
    total = float(variances.sum())
    if total == 0:
        return Part(0.0, min((part.freedom for part in parts), default=1.0))
    freedom = np.array([part.freedom for part in parts])
    return Part(math.sqrt(total), total**2 / float((variances**2 / freedom).sum()))


def _wilson(share: float, quantile: float, items: float) -> tuple[float, float]:
    """Return Wilson's interval of a share of so many independent items.

    Sources: Wilson, JASA 22, 1927; for items that are not independent, with as many as would have the same error, Dean
    & Pagano, Journal of Survey Statistics and Methodology 3, 2015.
    """
    squared = quantile**2 / items
    middle = (share + squared / 2) / (1 + squared)
    half = math.sqrt(squared * (share * (1 - share) + squared / 4)) / (1 + squared)
    # Rounding must not put the share itself outside.
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def difference(one: Sample, other: Sample) -> Sample:
    """Return one minus the other, paired by item and by seed."""
    found = _with_changes(_combined([one, other], [1.0, -1.0]), one, other)
    if found.sets is None or one.sets is None or other.sets is None:
        return found
    sets = {
        name: dataclasses.replace(both, pairs=_pairs(both, one.sets.get(name), other.sets.get(name)))
        for name, both in found.sets.items()
    }
    return dataclasses.replace(found, sets=sets)


def average(samples: Sequence[Sample]) -> Sample:
    """Return the unweighted mean of several quantities, such as an accuracy over tasks, or a metric over domains."""
    found = _combined(samples, [1 / len(samples)] * len(samples))
    logs = {sample.log for sample in samples}
    return dataclasses.replace(
        found, share=all(sample.share for sample in samples), log=logs.pop() if len(logs) == 1 else None
    )


def shifted(sample: Sample, by: float) -> Sample:
    """Return a quantity plus a constant."""
    part = by / len(sample.values)
    values = {name: one + part for name, one in sample.values.items()}
    log = sample.log and Log(sample.log.unit, sample.log.shift - by / sample.log.unit)
    return dataclasses.replace(sample, values=values, size=sample.size + abs(by), share=False, log=log)


def scaled(sample: Sample, by: float) -> Sample:
    """Return a quantity times a constant."""
    log = sample.log and Log(sample.log.unit * by, sample.log.shift)
    return dataclasses.replace(_combined([sample], [by]), log=log)


def ratio(one: Sample, other: Sample, log: bool = True) -> Sample | None:
    """Return one divided by the other, as a ratio of means over seeds; none where the divisor is not above 0.

    Its spread is that of the linear approximation at the means (the delta method), on the log scale where asked: there
    the two ends of an interval err alike. It has no interval where the divisor's own, on the plain scale, reaches 0: no
    bounded interval is right there (Fieller, JRSS B 16, 1954).
    """
    base = other.value
    if not base > 0:
        return None
    share = one.value / base
    found = _with_changes(_combined([one, other], [1 / base, -share / base]), one, other)
    found = dataclasses.replace(shifted(found, share), log=Log() if log else None)
    known = other.estimate()
    if known.spread and base > known.spread.half(1 - CONFIDENCE):
        return found
    return dataclasses.replace(found, sets=None, count=found.items)


def _combined(samples: Sequence[Sample], factors: Sequence[float]) -> Sample:
    """Return the sum of quantities times their factors."""
    counts = {sample.seeds for sample in samples}
    if len(counts - {1}) > 1:
        raise GradsError(f"runs of {sorted(counts)} seeds cannot be compared: run all arms with the same seeds")
    seeds = max(counts)
    pairs = list(zip(samples, factors, strict=True))
    values: dict[str, np.ndarray] = {}
    for sample, factor in pairs:
        for name, one in sample.values.items():
            values[name] = values.get(name, 0.0) + factor * np.broadcast_to(one, (seeds,))
    size = max(abs(factor) * sample.size for sample, factor in pairs)
    if any(sample.sets is None for sample in samples):
        return Sample(values, None, size, count=min(sample.items for sample in samples))
    names = dict.fromkeys(name for sample in samples for name in sample.sets or {})
    sets = {
        name: _combined_sets(
            [(sample.sets[name], factor) for sample, factor in pairs if sample.sets and name in sample.sets], seeds
        )
        for name in names
    }
    return Sample(values, sets, size)


def _combined_sets(pairs: Sequence[tuple[ItemSet, float]], seeds: int) -> ItemSet:
    first, factor = pairs[0]
    vectors: dict[str, np.ndarray] = {}
    for one, by in pairs:
        for name, rows in one.deviations.items():
            vectors[name] = vectors.get(name, 0.0) + by * np.broadcast_to(rows, (seeds, rows.shape[1]))
    changes = [one.changes for one, _ in pairs if one.changes is not None]
    alone = len(pairs) == 1
    return ItemSet(
        vectors,
        first.items,
        first.groups,
        changes=np.sum(changes, axis=0) if len(changes) == len(pairs) else None,
        unchanged=sum(by**2 * one.unchanged for one, by in pairs),
        pairs=dataclasses.replace(first.pairs, unit=factor * first.pairs.unit) if alone and first.pairs else None,
    )


def _with_changes(both: Sample, one: Sample, other: Sample) -> Sample:
    """Return what two quantities are together, with how each group of items differs between them."""
    if both.sets is None or one.sets is None or other.sets is None:
        return both
    sets = {
        name: _compared(found, one.sets[name], other.sets[name]) if name in one.sets and name in other.sets else found
        for name, found in both.sets.items()
    }
    return dataclasses.replace(both, sets=sets)


def _compared(both: ItemSet, one: ItemSet, other: ItemSet) -> ItemSet:
    if one.sums is None or other.sums is None:
        return both
    change = one.sums - other.sums
    # What is smaller is the rounding of floating-point numbers.
    change[np.abs(change) <= _ROUNDING * np.maximum(np.abs(one.sums), np.abs(other.sums))] = 0.0
    return dataclasses.replace(both, changes=np.abs(change).sum(axis=(0, 2)))


def _pairs(both: ItemSet, one: ItemSet | None, other: ItemSet | None) -> Pairs | None:
    """Return the pairs of right and wrong answers of one seed to items that each are a group of their own."""
    if not (one and other and one.right_wrong and other.right_wrong) or both.items != both.groups:
        return None
    if one.sums is None or other.sums is None or len(one.sums) > 1 or len(other.sums) > 1:
        return None
    change = one.sums - other.sums
    return Pairs(int((change > 0).sum()), int((change < 0).sum()), both.items)
