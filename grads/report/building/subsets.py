"""The table of subsets: how long and how hard the records are that each arm kept, next to the pool."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from grads.config.study import Study
from grads.report.pool import Pool
from grads.report.rendering.layout import ABSENT, Block, Entry, Table, number
from grads.report.statistics.estimates import Run

TOKENS = "response_tokens"
LOSS = "response_nll"
DECILES = tuple(f"p{share}" for share in range(10, 100, 10))
DESCRIBED = ("records", "mean", *DECILES)
COMPARED = ("standardised_difference", "ks_distance")
COLUMNS = ("study", "model", "domain", "arm", "ratio", "quantity", "point", *DESCRIBED, *COMPARED)
POOL = "(pool)"
"""Stands for the name of an arm where all eligible records are meant; no arm can be called so."""
_POINTS = {"base": "the untuned model", "warm": "the model after the preliminary epoch", "during": "the model then"}


def subset_facts(study: Study, pool: Pool) -> list[dict[str, Any]]:
    """Return response tokens and response losses of the pool and of what each run kept, as means over seeds.

    Two facts for each: one a quantity, with DESCRIBED (see `describe`) and COMPARED (see `compare`). All are NaN where
    a selection is missing, or where no signal store of the study holds losses; `point` says from which they are.
    """
    facts = []
    for run in (None, *pool.runs):
        for quantity in (TOKENS, LOSS):
            seeds = []
            points = set()
            for number_, seed in enumerate(study.seeds):
                point, values = _values(pool, quantity, seed)
                points.add(point)
                seeds.append(_fact(pool, run, number_, values))
            means = np.mean(seeds, axis=0).tolist()
            of = (run.arm, run.ratio) if run else (POOL, "1")
            point = "" if len(points) > 1 else points.pop()
            place = (study.study, pool.model, pool.domain, *of, quantity, point)
            facts.append(dict(zip(COLUMNS, (*place, *means), strict=True)))
    return facts


def _values(pool: Pool, quantity: str, seed: int) -> tuple[str, np.ndarray]:
    """Return the N values of a quantity, and at which point they were measured, if they were."""
    if quantity == TOKENS:
        return "tokens", pool.tokens[TOKENS].to_numpy(dtype=float)
    return pool.losses(seed) or ("", np.full(len(pool.tokens), np.nan))


def _fact(pool: Pool, run: Run | None, seed: int, values: np.ndarray) -> list[float]:
    """Return DESCRIBED and COMPARED of one seed, by its place among the seeds."""
    if run is None:
        return [*describe(values), np.nan, np.nan]
    chosen = pool.selected(run)
    if not chosen:
        return [np.nan] * (len(DESCRIBED) + len(COMPARED))
    kept = values[chosen[seed].kept]
    eligible = values[chosen[seed].eligible]
    return [*describe(kept), *compare(kept, eligible)]


def describe(values: np.ndarray) -> list[float]:
    """Return what DESCRIBED names: how many values are known (not NaN), their mean and nine deciles.

    Deciles between two values are interpolated linearly, the fifth is the median. All are NaN where no value is known.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return [np.nan] * len(DESCRIBED)
    return [len(known), known.mean(), *np.percentile(known, range(10, 100, 10))]


def compare(kept: np.ndarray, pool: np.ndarray) -> tuple[float, float]:
    """Return how far the values kept are from those of the pool that they were chosen from.

    Returns:
        The difference of the means in standard deviations of the pool, NaN where that is 0; and the largest distance
        between the two distribution functions (Kolmogorov-Smirnov), 0 to 1. It is a distance, not a test: the records
        kept are some of the pool's.
    """
    kept = kept[~np.isnan(kept)]
    pool = pool[~np.isnan(pool)]
    if not len(kept):
        return np.nan, np.nan
    spread = pool.std()
    difference = float((kept.mean() - pool.mean()) / spread) if spread > 0 else np.nan
    return difference, float(ks_2samp(kept, pool, method="asymp").statistic)


def subset_table(study: Study, facts: pd.DataFrame) -> Table:
    """Return the table of subsets from `subset_facts`, a block for each model and domain."""
    blocks = []
    for (model, domain), mine in facts.groupby(["model", "domain"], sort=False):
        rows = [_row(both.set_index("quantity")) for _, both in mine.groupby(["arm", "ratio"], sort=False)]
        blocks.append(Block(f"{study.models[model].title}, {study.domains[domain].title}", rows))
    columns = ["mean", "median", "p10 to p90", "difference", "KS"]
    return Table(
        name="subsets",
        label=study.label,
        caption="Answer length and loss of the records that each arm kept, next to the pool, as means over seeds.",
        groups=[("", 2), ("Response tokens", 5), ("Response NLL", 5)],
        header=["arm", "records", *columns, *columns],
        blocks=blocks,
        notes=[
            "p10 to p90: first and ninth decile. Difference: of the means, in standard deviations of the pool. KS: "
            "Kolmogorov-Smirnov distance between subset and pool, 0 to 1.",
            *_loss_notes(study, facts[facts["quantity"] == LOSS]),
            "Arms that keep every record are left out.",
        ],
        tidy=facts,
    )


def _loss_notes(study: Study, facts: pd.DataFrame) -> list[str]:
    notes = []
    for point, mine in facts.groupby("point", sort=False):
        places = dict.fromkeys(
            f"{study.models[model].title} on {study.domains[domain].title}"
            for model, domain in zip(mine["model"], mine["domain"], strict=True)
        )
        if point:
            notes.append(f"Response NLL (nats per token) under {_POINTS[point]}: {', '.join(places)}.")
        else:
            notes.append(
                f"Response NLL is not known for {', '.join(places)}: no signal store of the study holds it for every "
                "seed, since no arm's method asks for losses or gradients, or it is not there yet."
            )
    return notes


def _row(facts: pd.DataFrame) -> list[Entry]:
    first = facts.loc[TOKENS]
    head = first["arm"] if first["arm"] == POOL else Run(first["arm"], first["ratio"]).title
    texts = [head, number(first["records"], 0)]
    for quantity, decimals in ((TOKENS, 1), (LOSS, 3)):
        fact = facts.loc[quantity]
        ends = [number(fact[name], decimals) for name in (DECILES[0], DECILES[-1])]
        texts += [number(fact[name], decimals) for name in ("mean", "p50")]
        texts += [ABSENT if ABSENT in ends else " to ".join(ends)]
        texts += [number(fact[name], 2) for name in COMPARED]
    return [Entry(text) for text in texts]
