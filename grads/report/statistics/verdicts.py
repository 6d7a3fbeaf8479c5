"""Verdicts: what a family of estimates allows to be said, at a family-wise error of 5 %."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grads.report.statistics.comparisons import SIGNIFICANCE, holm, holm_levels
from grads.report.statistics.samples import Estimate

SUPPORTED = "supported"
REFUTED = "refuted"
UNDECIDED = "undecided"
NO_LARGER = "no larger than"


@dataclass(frozen=True)
class Question:
    """An estimate to be judged; `margin` is the size of a difference that would matter, none where nobody said."""

    estimate: Estimate
    margin: float | None = None


@dataclass(frozen=True)
class Decision:
    """What can be said of an estimate of a family.

    Attributes:
        verdict: SUPPORTED, REFUTED, NO_LARGER or UNDECIDED.
        p: corrected, to be held against 5 % whatever the family's share of that is; NaN where there is no test.
        low: lower bound of the interval at `level`.
        high: upper bound.
        level: at which the estimate was tested.
    """

    verdict: str = UNDECIDED
    p: float = math.nan
    low: float = math.nan
    high: float = math.nan
    level: float = math.nan


def decide(questions: Sequence[Question], significance: float = SIGNIFICANCE) -> list[Decision]:
    """Return the decisions on a family of which, with a probability of 1 - significance, none is false.

    Holm's procedure tests the k-th smallest p of m at significance / (m - k + 1) and stops at the first that fails; the
    interval of an estimate is that at its level (those after the stop: at the level of the first that failed), so that
    it leaves out 0 exactly where the procedure rejects. What is not rejected is `no larger than` its margin where its
    interval lies within: a difference cannot be both 0 and larger than the margin, so that at most one of the two
    hypotheses on it is true and both can be tested at the same level (Shaffer, JASA 81, 1986). An estimate without an
    interval, or with too few seeds, is undecided and counts among the m all the same.
    """
    values = [one.estimate.p if one.estimate.judged else math.nan for one in questions]
    return [
        Decision() if math.isnan(p) else _decision(one, p, min(1.0, corrected * SIGNIFICANCE / significance), level)
        for one, p, corrected, level in zip(
            questions, values, holm(values), holm_levels(values, significance), strict=True
        )
    ]


def _decision(question: Question, p: float, corrected: float, level: float) -> Decision:
    low, high = question.estimate.bounds(1 - level)
    verdict = UNDECIDED
    if p <= level:
        verdict = SUPPORTED if question.estimate.value > 0 else REFUTED
    elif question.margin is not None and -question.margin < low and high < question.margin:
        verdict = NO_LARGER
    return Decision(verdict, corrected, low, high, level)
