"""What a metric would have been with other test items of the same kind.

A metric is a function of sums over items: an accuracy divides a sum by the number of items, corpus BLEU is computed
from summed n-gram counts. What is resampled is therefore rows of sufficient statistics, never finished item scores; and
items that belong together, such as the questions on one document, are resampled together, as one group.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from grads.runtime.files import digest

REPLICATES = 2000
CONFIDENCE = 0.95

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From sums of shape (samples, columns) over counts of items of shape (samples,) to the metric's values (samples,)."""


def mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return means over items; the one column holds the item's value."""
    return sums[:, 0] / counts


def ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the sum of the first column over that of the second, such as bits per byte."""
    return sums[:, 0] / sums[:, 1]


def bleu(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return sacrebleu's corpus BLEU (0 to 100, default smoothing).

    The 10 columns hold system length, reference length, then correct and total n-grams of orders 1 to 4.
    """
    rows = sums.astype(np.int64).tolist()
    return np.array([BLEU.compute_bleu(row[2:6], row[6:10], row[0], row[1], smooth_method="exp").score for row in rows])


def chrf(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return sacrebleu's corpus chrF (0 to 100, default settings).

    The 18 columns hold hypothesis, reference and matching n-grams for each character order 1 to 6.
    """
    # sacrebleu offers chrF from counts only through this method; its version is pinned and a test compares the two.
    metric = CHRF()
    return np.array([metric._compute_f_score(row) for row in sums.astype(np.int64).tolist()])


def length_ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return system length by reference length, the first two columns; 0 where references are empty, as sacrebleu."""
    return np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(sums)), where=sums[:, 1] > 0)


CHANGE = "change"
"""The mean of what is itself a change of each item, 0 where it did not change."""
STATISTICS: dict[str, Statistic] = {
    "mean": mean,
    CHANGE: mean,
    "ratio": ratio,
    "bleu": bleu,
    "chrf": chrf,
    "length_ratio": length_ratio,
}
LINEAR = ("mean", CHANGE, "ratio")
"""Quotients of two sums, whose variance has a closed form."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Sums over the items of each group, for items that are drawn together.

    Attributes:
        sums: sufficient statistics, shape (groups, columns).
        sizes: how many items each group has, shape (groups,).
    """

    sums: np.ndarray
    sizes: np.ndarray

    @property
    def items(self) -> int:
        """Return how many items there are in all groups."""
        return int(self.sizes.sum())


def group_items(items: np.ndarray, labels: Sequence[int] = ()) -> Groups:
    """Return the groups of items, in the order in which they first occur.

    Args:
        items: sufficient statistics, shape (items, columns).
        labels: which items belong together, one label an item; each item is a group of its own when there are none.
    """
    if not len(labels):
        return Groups(items, np.ones(len(items)))
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    places = [order[label] for label in labels]
    sums = np.zeros((len(order), items.shape[1]))
    np.add.at(sums, places, items)
    return Groups(sums, np.bincount(places).astype(float))


@functools.lru_cache(maxsize=256)
def group_weights(key: str, groups: int) -> np.ndarray:
    """Return how often each replicate draws each group, shape (REPLICATES, groups).

    The draw depends on `key` and `groups` alone: all arms and seeds meet the same resampled groups, which makes
    differences between them paired.
    """
    generator = np.random.default_rng(int(digest(["item bootstrap", key, groups], 16), 16))
    return generator.multinomial(groups, np.full(groups, 1 / groups), size=REPLICATES).astype(np.float64)


def evaluate(statistic: str, items: np.ndarray) -> float:
    """Return the statistic of the items as they are; `items` has shape (items, columns)."""
    return float(STATISTICS[statistic](items.sum(axis=0, keepdims=True), np.array([len(items)]))[0])


def replicates(statistic: str, groups: Groups, key: str) -> np.ndarray:
    """Return the statistic of REPLICATES resamples of whole groups; shape (REPLICATES,)."""
    weights = group_weights(key, len(groups.sizes))
    return STATISTICS[statistic](weights @ groups.sums, weights @ groups.sizes)


def deviations(statistic: str, groups: Groups, key: str) -> np.ndarray:
    """Return a vector whose squared length is the variance of the statistic over draws of groups.

    Inner products of the vectors of two runs on the same groups are their covariances, so that the vector of a
    difference is the difference of the vectors. Of a mean, or a ratio of sums, it has an entry for each group, of other
    statistics one for each replicate of the bootstrap. The variance is the unbiased one: that of the bootstrap, which
    is (G - 1) / G of it for G groups, times G / (G - 1) (Efron & Tibshirani 1993, chapter 5).
    """
    number = len(groups.sizes)
    if statistic in LINEAR:
        # The variance of a ratio of sums over clusters, to first order (Cochran, Sampling Techniques, 1977, 6.3).
        weights = groups.sums[:, 1] if statistic == "ratio" else groups.sizes
        value = groups.sums[:, 0].sum() / weights.sum()
        vector = (groups.sums[:, 0] - value * weights) / weights.sum()
    else:
        drawn = replicates(statistic, groups, key)
        vector = (drawn - drawn.mean()) / np.sqrt(len(drawn))
    return vector * np.sqrt(number / max(1, number - 1))
