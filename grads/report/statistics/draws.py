"""Draws of test items and seeds: what quantities would have been together, with other items and other seeds.

Intervals follow from variances. How often something is so of several runs at once, such as that no other run beats one,
asks for draws in which all of them meet the same items and the same seeds.
"""

import functools

import numpy as np

from grads.report.statistics.bootstrap import LINEAR, REPLICATES, group_weights
from grads.report.statistics.samples import LEAST_SEEDS, SEPARATOR, ItemSet, Sample
from grads.runtime.files import digest


@functools.lru_cache(maxsize=64)
def seed_weights(cells: str, seeds: int) -> np.ndarray:
    """Return the weight of each seed in each draw, shape (REPLICATES, seeds); each row adds up to 1.

    The draw depends on what is trained together and on the number of seeds alone, so that it is the same for all arms.
    Of S seeds their variance is S / (S - 1) times the bootstrap's, which makes up for its narrowness, as that of items
    is (Efron & Tibshirani 1993, chapter 5).
    """
    generator = np.random.default_rng(int(digest(["seed bootstrap", cells, seeds], 16), 16))
    drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=REPLICATES) / seeds
    return 1 / seeds + (drawn - 1 / seeds) * np.sqrt(seeds / (seeds - 1))


def crossed_draws(sample: Sample) -> np.ndarray | None:
    """Return a quantity in REPLICATES draws of groups of items and of seeds, shape (REPLICATES,).

    Groups and seeds are drawn independently of each other, and crossed: the pigeonhole bootstrap, whose variance is
    that of both and a little more (Owen, Annals of Applied Statistics 1, 2007). The same draw serves all quantities of
    a model and domain. Of the items the draws are those of `statistics.deviations`, to first order where groups differ
    in size.

    Returns:
        The draws; none below three seeds, and where nothing is known of the items.
    """
    if sample.seeds < LEAST_SEEDS or not sample.sets:
        return None
    found = np.zeros(REPLICATES)
    for cells, values in sample.values.items():
        # Shape (REPLICATES, seeds).
        by_seed = np.broadcast_to(values, (REPLICATES, len(values))).copy()
        for name, one in sample.sets.items():
            if cells in one.deviations:
                by_seed += _item_draws(name, one, cells)
        weights = seed_weights(cells, len(values)) if len(values) > 1 else np.ones((REPLICATES, 1))
        found += (by_seed * weights).sum(axis=1)
    return found


def _item_draws(name: str, one: ItemSet, cells: str) -> np.ndarray:
    """Return how each draw of a set's groups changes each seed's value, shape (REPLICATES, seeds)."""
    item_set, statistic = name.split(SEPARATOR)
    rows = one.deviations[cells]
    if statistic in LINEAR:
        return group_weights(item_set, one.groups) @ rows.T
    return rows.T * np.sqrt(REPLICATES)
