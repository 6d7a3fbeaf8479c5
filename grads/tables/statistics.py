"""Item bootstrap: what a metric would have been with other test items of the same kind.

A metric is a function of sums over items: an accuracy divides a sum by the number of items, corpus BLEU is computed
from summed n-gram counts. Resampling therefore resamples rows of sufficient statistics, never finished item scores.
"""

import functools
from collections.abc import Callable

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from grads.runtime.files import digest

REPLICATES = 2000
CONFIDENCE = 0.95

Statistic = Callable[[np.ndarray, int], np.ndarray]
"""From sums of shape (samples, columns) over so many items to the metric's values of shape (samples,)."""


def mean(sums: np.ndarray, items: int) -> np.ndarray:
    """Return means over items; the one column holds the item's value."""
    return sums[:, 0] / items


def bleu(sums: np.ndarray, items: int) -> np.ndarray:
    """Return sacrebleu's corpus BLEU (0 to 100, default smoothing).

    The 10 columns hold system length, reference length, then correct and total n-grams of orders 1 to 4.
    """
    rows = sums.astype(np.int64).tolist()
    return np.array([BLEU.compute_bleu(row[2:6], row[6:10], row[0], row[1], smooth_method="exp").score for row in rows])


def chrf(sums: np.ndarray, items: int) -> np.ndarray:
    """Return sacrebleu's corpus chrF (0 to 100, default settings).

    The 18 columns hold hypothesis, reference and matching n-grams for each character order 1 to 6.
    """
    # sacrebleu offers chrF from counts only through this method; its version is pinned and a test compares the two.
    metric = CHRF()
    return np.array([metric._compute_f_score(row) for row in sums.astype(np.int64).tolist()])


STATISTICS: dict[str, Statistic] = {"mean": mean, "bleu": bleu, "chrf": chrf}


@functools.lru_cache(maxsize=256)
def item_weights(key: str, items: int) -> np.ndarray:
    """Return how often each replicate draws each item, shape (REPLICATES, items).

    The draw depends on `key` and `items` alone: all arms and seeds meet the same resampled items, which makes
    differences between them paired.
    """
    generator = np.random.default_rng(int(digest(["item bootstrap", key, items], 16), 16))
    return generator.multinomial(items, np.full(items, 1 / items), size=REPLICATES).astype(np.float64)


def evaluate(statistic: str, items: np.ndarray) -> float:
    """Return the statistic of the items as they are; `items` has shape (items, columns)."""
    return float(STATISTICS[statistic](items.sum(axis=0, keepdims=True), len(items))[0])


def replicates(statistic: str, items: np.ndarray, key: str) -> np.ndarray:
    """Return the statistic of REPLICATES resamples of the rows of `items` (items, columns); shape (REPLICATES,)."""
    return STATISTICS[statistic](item_weights(key, len(items)) @ items, len(items))
