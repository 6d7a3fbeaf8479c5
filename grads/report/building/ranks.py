"""The table of average ranks over models and domains, with the difference that is critical.

Each model on a domain is a block in which the arms of one ratio are ranked, full data among them, the best being 1.
Friedman's test asks whether average ranks differ at all, Nemenyi's critical difference by how much two must differ.

Source: Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006, section 3.2.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from grads.config.study import Study
from grads.report.building.main import KL
from grads.report.files import LEAST_BLOCKS
from grads.report.metrics import MEASURES
from grads.report.rendering.entries import RunMarks
from grads.report.rendering.layout import Block, Entry, Table, number, places
from grads.report.statistics.comparisons import SIGNIFICANCE
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate, runs
from grads.report.statistics.means import Place, mean_value
from grads.report.statistics.samples import LEAST_SEEDS
from grads.study.claim_sentences import GENERAL

COLUMNS = (
    *("study", "ranked_at", "measure", "blocks", "ranked", "arm", "ratio"),
    *("average_rank", "critical_difference", "p"),
)
_ROUNDING = 10
"""Decimals: values that differ by less are tied, for that is the rounding of floating-point numbers."""


@dataclass(frozen=True)
class Ranking:
    """Average ranks of k runs over N blocks.

    Attributes:
        average: of each run, from 1 (best) to k.
        critical: by how much two must differ for a family-wise error of 5 % (Nemenyi).
        p: of Friedman's test in the form of Iman and Davenport, that all runs are alike.
    """

    average: tuple[float, ...]
    critical: float
    p: float

    def worse(self, place: int) -> bool:
        """Whether a run is told from the best: Friedman's test rejects, and its rank is worse by more than critical."""
        return self.p <= SIGNIFICANCE and self.average[place] - min(self.average) > self.critical


@dataclass(frozen=True)
class Measure:
    """What runs are ranked by: the mean of some quantities."""

    title: str
    name: str
    quantities: Sequence[Quantity]
    higher_is_better: bool


@dataclass(frozen=True)
class Ranked:
    """The runs of one ratio that are ranked by a measure, and those that something is missing of."""

    runs: Sequence[Run]
    left_out: Sequence[Run]
    ranking: Ranking | None


def rank(values: np.ndarray, higher_is_better: bool) -> Ranking:
    """Return the average ranks of runs; ties share the mean of their ranks.

    Args:
        values: shape (blocks, runs), at least two of each.
        higher_is_better: direction.
    """
    rounded = np.round(values, _ROUNDING)
    ranks = stats.rankdata(-rounded if higher_is_better else rounded, axis=1)
    blocks, number_of = ranks.shape
    return Ranking(tuple(ranks.mean(axis=0).tolist()), critical_difference(number_of, blocks), _friedman(ranks))


def critical_difference(number_of: int, blocks: int) -> float:
    """Return Nemenyi's critical difference of the average ranks of so many runs over so many blocks, at 5 %."""
    return _studentized(number_of) * math.sqrt(number_of * (number_of + 1) / (6 * blocks))


@functools.cache
def _studentized(number_of: int) -> float:
    """Return the quantile of the studentized range with infinitely many degrees of freedom, divided by sqrt(2)."""
    return float(stats.studentized_range.ppf(1 - SIGNIFICANCE, number_of, np.inf)) / math.sqrt(2)


def _friedman(ranks: np.ndarray) -> float:
    """Return the p-value of Friedman's test, corrected for ties, in the form of Iman and Davenport (1980).

    It is never below that of blocks which all rank the runs in the same order, of which there are k! orders.
    """
    blocks, number_of = ranks.shape
    middle = (number_of + 1) / 2
    within = float(((ranks - middle) ** 2).sum())
    if within == 0:  # All are tied in every block.
        return 1.0
    chi = (number_of - 1) * blocks**2 * float(((ranks.mean(axis=0) - middle) ** 2).sum()) / within
    most = blocks * (number_of - 1)
    least_p = math.exp(-(blocks - 1) * math.lgamma(number_of + 1))
    if chi >= most * (1 - 1e-12):
        return least_p
    found = (blocks - 1) * chi / (most - chi)
    return max(least_p, float(stats.f.sf(found, number_of - 1, (number_of - 1) * (blocks - 1))))


def ranks_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of average ranks: a block of rows a ratio, a column a measure.

    Raises:
        GradsError: a measurement is missing.
    """
    shown = measures(study)
    found = {
        ratio: [_ranked(study, estimates, some, measure) for measure in shown]
        for ratio, some in runs_by_ratio(study).items()
    }
    number_of = len(study.models) * len(study.domains)
    marks = RunMarks(estimates.frame)
    return Table(
        name="ranks",
        label=study.label,
        caption=f"Average ranks of the arms of each ratio over the {number_of} pairs of a model and a domain.",
        groups=[("", 1), ("Average rank ↓", len(shown))],
        header=["arm", *(measure.title for measure in shown)],
        blocks=[
            Block(f"ratio {ratio}", _rows(study, marks, runs_by_ratio(study)[ratio], each))
            for ratio, each in found.items()
        ],
        notes=_notes(study, found) + marks.notes(),
        tidy=pd.DataFrame(
            [
                fact
                for ratio, each in found.items()
                for measure, one in zip(shown, each, strict=True)
                for fact in _facts(study, ratio, measure, one)
            ],
            columns=list(COLUMNS),
        ),
    )


def measures(study: Study) -> list[Measure]:
    """Return what runs are ranked by: every domain metric, the mean accuracy over tasks, and the drift."""
    found = [
        Measure(MEASURES[name].title, name, [Quantity.domain(name)], MEASURES[name].higher_is_better)
        for name in study.evaluation.metrics
    ]
    tasks = [Quantity.general(task, spec.metric) for task, spec in study.general.tasks.items()]
    found += [Measure("general accuracy", GENERAL, tasks, True)] if tasks else []
    return [*found, Measure("KL", KL.metric, [KL], False)]


def runs_by_ratio(study: Study) -> dict[str, list[Run]]:
    """Return by ratio the trained runs that are ranked together: all of the ratio, and those on all records."""
    trained = [run for run in runs(study) if run.ranked]
    on_all = [run for run in trained if study.arms[run.arm].method == "full"]
    ratios = list(dict.fromkeys(run.ratio for run in trained if run not in on_all)) or ["1"]
    return {ratio: [run for run in trained if run in on_all or run.ratio == ratio] for ratio in ratios}


def _ranked(study: Study, estimates: Estimates, some: Sequence[Run], measure: Measure) -> Ranked:
    """Rank those runs that have an interval on every model and domain."""
    blocks: list[Place] = list(itertools.product(study.models, study.domains))
    found = {
        run: [estimate(mean_value(estimates, [place], run, measure.quantities)) for place in blocks] for run in some
    }
    known = [run for run, each in found.items() if all(one.has_interval for one in each)]
    left_out = [run for run in some if run not in known]
    if len(known) < 2:
        return Ranked(known, left_out, None)
    values = np.array([[one.value for one in found[run]] for run in known]).T
    return Ranked(known, left_out, rank(values, measure.higher_is_better))


def _rows(study: Study, marks: RunMarks, some: Sequence[Run], found: Sequence[Ranked]) -> list[list[Entry]]:
    columns = [
        [
            *(Entry(run.title + marks.mark(None, run)) for run in some),
            Entry("critical difference"),
            Entry("p that all are alike"),
        ]
    ]
    columns += [_column(study, some, one) for one in found]
    return [list(row) for row in zip(*columns, strict=True)]


def _column(study: Study, some: Sequence[Run], one: Ranked) -> list[Entry]:
    if one.ranking is None:
        return [Entry(number(math.nan, 2)) for _ in range(len(some) + 2)]
    ranking = one.ranking
    marked = len(study.seeds) >= LEAST_SEEDS
    best = places(list(ranking.average), 2, higher_is_better=False)
    entries = {
        run: Entry(number(ranking.average[place], 2), "*" if marked and ranking.worse(place) else "", best[place])
        for place, run in enumerate(one.runs)
    }
    p = "< 0.001" if ranking.p < 0.001 else number(ranking.p, 3)
    return [
        *(entries.get(run, Entry(number(math.nan, 2))) for run in some),
        Entry(number(ranking.critical, 2)),
        Entry(p),
    ]


def _facts(study: Study, ratio: str, measure: Measure, one: Ranked) -> list[dict[str, object]]:
    if one.ranking is None:
        return []
    about: dict[str, object] = {"study": study.study, "ranked_at": ratio, "measure": measure.name}
    about |= {"blocks": len(study.models) * len(study.domains), "ranked": len(one.runs)}
    rest = {"critical_difference": one.ranking.critical, "p": one.ranking.p}
    return [
        {**about, "arm": run.arm, "ratio": run.ratio, "average_rank": average, **rest}
        for run, average in zip(one.runs, one.ranking.average, strict=True)
    ]


def _notes(study: Study, found: dict[str, list[Ranked]]) -> list[str]:
    missing = {run.title for each in found.values() for one in each for run in one.left_out}
    star = "*: worse than the best by more than that, where p is at most 0.05."
    if len(study.seeds) < LEAST_SEEDS:
        star = f"No marks: fewer than {LEAST_SEEDS} seeds."
    return [
        "1 is best; ties share the mean of their ranks. Best in bold, second underlined, compared as printed.",
        "Two average ranks that differ by no more than the critical difference (Nemenyi, 5 %) are not told apart; p is "
        f"that of Friedman's test (Iman and Davenport). {star} Each column of a ratio is a family of its own.",
        "Blocks are taken for independent draws, which models that are tested on the same items, and domains that one "
        f"model is tuned on, are in part only. With fewer than {LEAST_BLOCKS} of them there is no such table.",
        *(
            [f"Not ranked where a model and a domain lack an interval: {', '.join(sorted(missing))}."]
            if missing
            else []
        ),
    ]
