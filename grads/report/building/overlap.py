"""The table of overlaps: how far methods choose the same records, and what chance would give."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom, spearmanr

from grads.config.study import Study
from grads.report.pool import Pool, Selected
from grads.report.rendering.layout import Block, Entry, Table, number
from grads.report.statistics.estimates import Run

MEASURED = ("records", "other_records", "shared", "shared_by_chance", "jaccard", "jaccard_by_chance", "spearman")
COLUMNS = ("study", "model", "domain", "ratio", "arm", "other", "comparisons", *MEASURED)


def overlap_facts(study: Study, pool: Pool) -> list[dict[str, Any]]:
    """Return how far each two arms agree at each ratio, and each arm with itself under another seed.

    Numbers are means over seeds, for an arm and itself over pairs of seeds; see `agreement`. They are NaN where a
    selection is missing, the correlation also where an arm gives all records the same score.
    """
    facts = []
    for ratio in dict.fromkeys(run.ratio for run in pool.runs):
        arms = [run for run in pool.runs if run.ratio == ratio]
        for one, other in combinations_with_replacement(arms, 2):
            found = [agreement(*pair) for pair in _pairs(pool, one, other)]
            if one == other and len(study.seeds) < 2:
                continue
            means = np.mean(found, axis=0).tolist() if found else [np.nan] * len(MEASURED)
            place = (study.study, pool.model, pool.domain, ratio, one.arm, other.arm, len(found))
            facts.append(dict(zip(COLUMNS, (*place, *means), strict=True)))
    return facts


def _pairs(pool: Pool, one: Run, other: Run) -> Iterator[tuple[Selected, Selected]]:
    """Return what is compared: two arms under equal seeds, an arm and itself under different ones."""
    if one == other:
        return iter(combinations(pool.selected(one), 2))
    return iter(zip(pool.selected(one), pool.selected(other), strict=False))


def agreement(one: Selected, other: Selected) -> tuple[float, ...]:
    """Return what MEASURED names, of two selections, over the N records that were eligible for both.

    These are the numbers of records kept; how many both keep, and how many two independent draws would share on
    average, n_a n_b / N; the Jaccard index |A and B| / |A or B|, and what it would be on average (`chance_jaccard`);
    and the rank correlation (Spearman) of the N scores, NaN where one of them is constant.
    """
    both = one.eligible & other.eligible
    mine = one.kept[both]
    theirs = other.kept[both]
    sizes = (int(mine.sum()), int(theirs.sum()))
    shared = int((mine & theirs).sum())
    count = int(both.sum())
    union = sum(sizes) - shared
    jaccard = shared / union if union else np.nan
    scores = one.score[both], other.score[both]
    ranked = count > 1 and all((score != score[0]).any() for score in scores)
    correlation = float(spearmanr(*scores).statistic) if ranked else np.nan
    by_chance = sizes[0] * sizes[1] / count if count else np.nan
    return (*sizes, shared, by_chance, jaccard, chance_jaccard(count, *sizes), correlation)


@lru_cache
def chance_jaccard(count: int, one: int, other: int) -> float:
    """Return the mean Jaccard index of independent uniform draws of `one` and `other` out of `count` records.

    The number k that they share is hypergeometric, with mean one * other / count. The index k / (one + other - k) is
    no straight line in k, so its mean is not the index at the mean of k: it is summed over all k.
    """
    if not one + other:
        return np.nan
    shared = np.arange(max(0, one + other - count), min(one, other) + 1)
    return float(hypergeom.pmf(shared, count, one, other) @ (shared / (one + other - shared)))


def overlap_table(study: Study, facts: pd.DataFrame) -> Table:
    """Return the table of overlaps from `overlap_facts`, a block for each model, domain and ratio."""
    blocks = []
    for (model, domain, ratio), mine in facts.groupby(["model", "domain", "ratio"], sort=False):
        title = f"{study.models[model].title}, {study.domains[domain].title}: ratio {ratio}"
        blocks.append(Block(title, [_row(fact) for fact in mine.to_dict("records")]))
    return Table(
        name="overlap",
        label=study.label,
        caption="How far arms choose the same records, and order all records alike, as a mean over seeds.",
        groups=[("", 1), ("Records", 2), ("Shared", 2), ("Jaccard index", 2), ("", 1)],
        header=["arms", "first", "second", "found", "by chance", "found", "by chance", "Spearman"],
        blocks=blocks,
        notes=[
            "By chance: the exact mean for two independent uniform draws of these sizes from the same records (the "
            "number that they share is hypergeometric). An arm and itself under another seed: 'seeds'.",
            "Spearman: rank correlation of all eligible records' scores; empty where an arm scores them all alike.",
            "Greedy methods score a record by when it was chosen, so their scores depend on the ratio.",
            "Arms that keep every record are left out.",
        ],
        tidy=facts,
    )


def _row(fact: dict[str, Any]) -> list[Entry]:
    head = f"{fact['arm']}, seeds" if fact["arm"] == fact["other"] else f"{fact['arm']}, {fact['other']}"
    whole = [number(fact[name], 0) for name in ("records", "other_records")]
    shared = [number(fact[name], 1) for name in ("shared", "shared_by_chance")]
    rest = [number(fact[name], 3) for name in ("jaccard", "jaccard_by_chance", "spearman")]
    return [Entry(text) for text in (head, *whole, *shared, *rest)]
