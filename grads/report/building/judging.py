"""Claims judged: what the measurements say of each, before it is printed.

This module, and what it imports, is what `grads seal` seals as the code of the statistics.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from grads.config.study import Study
from grads.report.metrics import LEAST_BLEU_BASELINE, MEASURES
from grads.report.statistics.comparisons import SIGNIFICANCE, baselines
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate, runs, untuned_run
from grads.report.statistics.samples import Estimate, Sample, average, difference, ratio, scaled, shifted
from grads.report.statistics.verdicts import NO_LARGER, REFUTED, SUPPORTED, UNDECIDED, Decision, Question, decide
from grads.study.claim_sentences import BEATS, DRIFT, GENERAL, ParsedClaim, in_study

POOLED = "pooled"
NOT_MEASURED = "not measured yet"
NO_BASELINE = "no baseline"
NOTHING_FORGOTTEN = "nothing forgotten"
NOTHING_LEARNT = "nothing learnt"
ITEMS_ONLY = "items only"
NOT_TESTED = "not tested"
OTHER_FORM = "see its other form"

Place = tuple[str, str]
"""A model and a domain."""


@dataclass(frozen=True)
class Found:
    """What was found on a place: a sample, or the problem why there is none."""

    sample: Sample | None = None
    problem: str = ""


@dataclass(frozen=True)
class Row:
    """A claim on a model and a domain, or over several, and what was found, before it is judged.

    Attributes:
        claim: the claim.
        model: key, or `pooled`.
        domain: key, or `pooled`.
        estimate: by how much the first arm is better than the second.
        problem: why there is nothing to judge, a verdict; empty where there is.
        reason: more on that, such as the domains that lack a baseline.
        steps: optimiser steps of the first arm, mean over places.
        base_steps: the same of the second.
    """

    claim: ParsedClaim
    model: str
    domain: str
    estimate: Estimate
    problem: str
    reason: str
    steps: float
    base_steps: float


@dataclass(frozen=True)
class Judged:
    """A row with what can be said of it; `primary` rows are the family that is tested first."""

    row: Row
    decision: Decision
    verdict: str
    primary: bool = False


@dataclass(frozen=True)
class Asked:
    """A claim on one model, or on all: a row over all of its places, and a row for each of several."""

    head: Row
    parts: list[Row] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what no other has: sentence, form and model."""
        return (self.head.claim.sentence, self.head.claim.claim.form, self.head.model)

    @property
    def rows(self) -> list[Row]:
        """Return the rows in the order of the table."""
        return [*self.parts, self.head]


def judge_claims(study: Study, estimates: Estimates, claims: Sequence[ParsedClaim]) -> list[Judged]:
    """Return what the measurements say of each claim that the study can decide.

    The rows over all places of a claim are one family. Where such a row comes out, the rows of its places are a family
    of their own, whose level is the claim's equal share of 5 %: over all claims the chance of a false verdict on a
    place is then at most 5 %, too. Of two forms of one sentence the one that is stated first is tested.

    Raises:
        GradsError: a measurement is missing, or two runs were not measured alike.
    """
    asked = [one for claim in claims if in_study(study, claim) for one in _ask(study, estimates, claim)]
    first: dict[tuple[str, str], Asked] = {}
    for one in asked:
        first.setdefault((one.head.claim.sentence, one.head.model), one)
    tested = list(first.values())  # By sentence and model, the form that is stated first.
    decisions = decide([_question(one.head) for one in tested])
    share = SIGNIFICANCE / max(1, len(tested))
    found: dict[tuple[str, str, str], list[Judged]] = {}
    for one, decision in zip(tested, decisions, strict=True):
        head = _judged(one.head, decision)
        if head.verdict in (SUPPORTED, REFUTED):
            parts = [
                _judged(row, each)
                for row, each in zip(one.parts, decide([_question(row) for row in one.parts], share), strict=True)
            ]
        else:
            parts = [_untested(row, NOT_TESTED) for row in one.parts]
        found[one.key] = [*parts, replace(head, primary=True)]
    return [row for one in asked for row in found.get(one.key) or [_untested(each, OTHER_FORM) for each in one.rows]]


def _question(row: Row) -> Question:
    return Question(row.estimate, row.claim.margin)


def _judged(row: Row, decision: Decision) -> Judged:
    if row.problem or not row.estimate.judged:
        return _untested(row, "")
    verdict = f"{NO_LARGER} {row.claim.margin:g}" if decision.verdict == NO_LARGER else decision.verdict
    return Judged(row, decision, verdict)


def _untested(row: Row, verdict: str) -> Judged:
    """Return a row that no verdict is given on, with the reason of its own if it has one."""
    few = ITEMS_ONLY if row.estimate.has_interval and not row.estimate.judged else ""
    return Judged(row, Decision(), row.problem or few or verdict or UNDECIDED)


def _ask(study: Study, estimates: Estimates, claim: ParsedClaim) -> list[Asked]:
    """Return the rows of a claim: those of each model, or of all."""
    places = list(itertools.product(study.models, study.domains))
    samples = {place: _sample(study, estimates, claim, place) for place in places}
    if claim.claim.pool == "models":
        return [_asked(study, estimates, claim, samples, POOLED)]
    return [
        _asked(study, estimates, claim, {place: one for place, one in samples.items() if place[0] == model}, model)
        for model in study.models
    ]


def _asked(study: Study, estimates: Estimates, claim: ParsedClaim, samples: Mapping[Place, Found], model: str) -> Asked:
    rows = [_row(study, estimates, claim, {place: one}, place) for place, one in samples.items()]
    if len(rows) == 1:
        return Asked(replace(rows[0], model=model))
    return Asked(_row(study, estimates, claim, samples, (model, POOLED)), rows)


def _row(study: Study, estimates: Estimates, claim: ParsedClaim, samples: Mapping[Place, Found], called: Place) -> Row:
    """Return the row over some places."""
    known = [one.sample for one in samples.values() if one.sample is not None]
    lacking = {place: one.problem for place, one in samples.items() if one.sample is None}
    problem = next(iter(lacking.values()), "")
    whole = estimate(average(known) if not lacking else None)
    if whole.judged:
        problem = _gate(study, estimates, claim, list(samples))
    reason = ""
    if problem == NO_BASELINE:
        reason = ", ".join(_names(study, [place for place, one in lacking.items() if one == problem]))
    if problem == NOT_MEASURED:
        reason = _unmeasured(study, estimates, claim, list(samples))
    by_title = {run.title: run for run in runs(study)}
    steps, base_steps = (_steps(estimates, by_title[title], list(samples)) for title in (claim.run, claim.base))
    return Row(claim, *called, whole, problem, reason, steps, base_steps)


def _names(study: Study, places: Sequence[Place]) -> list[str]:
    """Return the titles of places, by domain where there is one model."""
    several = len({model for model, _ in places}) > 1
    return [
        (f"{study.models[model].title} on " if several else "") + study.domains[domain].title
        for model, domain in places
    ]


def _unmeasured(study: Study, estimates: Estimates, claim: ParsedClaim, places: Sequence[Place]) -> str:
    """Return which of some places lack which of the runs that a claim is judged by."""
    by_title = {run.title: run for run in runs(study)}
    full = _full_run(study, claim)
    untuned = untuned_run(study)
    needed = [by_title[claim.run], by_title[claim.base], *(run for run in (full, untuned) if run and full and untuned)]
    parts = []
    for place, name in zip(places, _names(study, places), strict=True):
        missing = [
            run.title
            for run in dict.fromkeys(needed)
            if any(estimates.sample(*place, run, quantity) is None for quantity in quantities_of(study, claim.measure))
        ]
        if missing:
            parts.append(f"{name} lacks {', '.join(missing)}")
    return "; ".join(parts)


def _steps(estimates: Estimates, run: Run, places: Sequence[Place]) -> float:
    """Return a run's optimiser steps, mean over places and seeds; NaN where it takes none or they are not known yet."""
    if not run.trained:
        return math.nan
    steps = Quantity("cost", "training", "steps")
    return sum(estimates.of(*place, run, steps).value for place in places) / len(places)


def _gate(study: Study, estimates: Estimates, claim: ParsedClaim, places: Sequence[Place]) -> str:
    """Return why a claim asks for nothing on some places: training on all records forgets, or learns, nothing there.

    That is so where the interval of what it forgets of the claim's measure, or gains on the domain's metric, is not
    above 0. A study without the untuned model or without such training cannot say; neither is it asked whether training
    gains on a general task, which is there to show what is forgotten.
    """
    full = _full_run(study, claim)
    untuned = untuned_run(study)
    quantities = quantities_of(study, claim.measure)
    learning = claim.verb == BEATS
    if full is None or untuned is None or (learning and quantities[0].part != "domain"):
        return ""
    better, worse = (full, untuned) if learning else (untuned, full)
    parts = []
    for place, quantity in itertools.product(places, quantities):
        pair = estimates.pair(*place, better, worse, quantity)
        if pair is None:
            return NOT_MEASURED
        parts.append(scaled(difference(*pair), _direction(claim)))
    changed = average(parts).estimate()
    if changed.has_interval and changed.low > 0:
        return ""
    return NOTHING_LEARNT if learning else NOTHING_FORGOTTEN


def _full_run(study: Study, claim: ParsedClaim) -> Run | None:
    """Return the training on all records that a claim is about or that its first arm is compared with."""
    by_title = {run.title: run for run in runs(study)}
    named = [by_title[title] for title in (claim.base, claim.run)]
    full = next((run for run in named if study.arms[run.arm].method == "full"), None)
    return full or baselines(study, named[1]).get("full")


def _sample(study: Study, estimates: Estimates, claim: ParsedClaim, place: Place) -> Found:
    """Return how much better a claim's first run is than its second, or the reason why that is unknown.

    Of several tasks it is the mean over tasks, of relative forms that of each task's own ratio, as GrADS gives it.
    """
    by_title = {run.title: run for run in runs(study)}
    of = (*place, by_title[claim.run], by_title[claim.base])
    pairs = [estimates.pair(*of, quantity) for quantity in quantities_of(study, claim.measure)]
    known = [pair for pair in pairs if pair is not None]
    if len(known) < len(pairs):
        return Found(problem=NOT_MEASURED)
    found = [one for pair in known if (one := _advantage(study, claim, *pair)) is not None]
    return Found(average(found)) if len(found) == len(known) else Found(problem=NO_BASELINE)


def _direction(claim: ParsedClaim) -> float:
    """Return 1 where more of a claim's measure is better, else -1."""
    metric = MEASURES.get(claim.measure)
    return 1.0 if claim.measure not in DRIFT and (metric is None or metric.higher_is_better) else -1.0


def _advantage(study: Study, claim: ParsedClaim, one: Sample, other: Sample) -> Sample | None:
    """Return by how much the first is better, in the claim's form; none where a relative form has no baseline."""
    better = _direction(claim)
    if claim.claim.form == "absolute":
        points = 1.0 if claim.measure in (*DRIFT, *study.evaluation.metrics) else 100.0
        return scaled(difference(one, other), better * points)
    quotient = ratio(one, other)
    if quotient is None or (claim.measure == "bleu" and other.value < LEAST_BLEU_BASELINE):
        return None
    return scaled(shifted(quotient, -1.0), 100 * better)


def quantities_of(study: Study, measure: str) -> list[Quantity]:
    """Return what a claim's measure stands for: of `general` every task's metric, else one quantity."""
    tasks = study.general.tasks
    if measure in study.evaluation.metrics and measure not in tasks:
        return [Quantity.domain(measure)]
    if measure in DRIFT:
        return [Quantity.general("text", measure)]
    names = list(tasks) if measure == GENERAL else [measure]
    return [Quantity.general(name, tasks[name].metric) for name in names]
