"""The table of claims: what was said of the arms, and whether the measurements bear it out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grads.study.claims import DRIFT, GENERAL, ParsedClaim, in_study, read_claims
from grads.study.config import Study
from grads.tables.comparisons import SIGNIFICANCE, holm
from grads.tables.domain import LEAST_BLEU_BASELINE
from grads.tables.entries import coverage
from grads.tables.estimates import Estimates, Quantity, estimate, runs
from grads.tables.layout import Block, Entry, Table, number, signed
from grads.tables.measures import MEASURES
from grads.tables.samples import LEAST_SEEDS, Estimate, Sample, average, difference, ratio, scaled, shifted

POOLED = "pooled"
SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
NOT_IN_STUDY = "not in this study"
NOT_MEASURED = "not measured yet"
NO_BASELINE = "no baseline"
ENOUGH_SEEDS = 10
"""From so many seeds on the correction for several claims holds even where seeds differ much."""


@dataclass(frozen=True)
class Judged:
    """A claim on a model and a domain, or over all domains, with what was found.

    `low` and `high` are bounds at the level that Holm's procedure gives the claim among all claims of its file.
    """

    claim: ParsedClaim
    model: str
    domain: str
    estimate: Estimate
    p: float
    low: float
    high: float
    verdict: str


def claims_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of claims: a row per claim, model and domain, and one over all domains.

    Raises:
        GradsError: the claims cannot be read, or a measurement is missing.
    """
    claims = read_claims(study)
    judged = judge_claims(study, estimates, claims)
    missing = [claim for claim in claims if not in_study(study, claim)]
    blocks = [
        Block(f"{entry.title}, {form} differences", rows)
        for model, entry in study.models.items()
        for form in ("absolute", "relative")
        if (rows := [_row(study, one) for one in judged if (one.model, one.claim.claim.form) == (model, form)])
    ]
    if missing:
        blocks.append(Block("Not in this study", [_missing_row(claim) for claim in missing]))
    return Table(
        name="claims",
        label=study.label,
        caption="Claims, and what was measured: positive differences are in favour of a claim.",
        groups=[("", 2), ("Measured", 4), ("Published", 2)],
        header=["claim", "domain", "difference", "corrected interval", "corrected p", "verdict", "difference", "where"],
        blocks=blocks,
        notes=_notes(study, judged),
        tidy=pd.DataFrame([_fact(study, one) for one in judged] + [_missing_fact(study, claim) for claim in missing]),
    )


def judge_claims(study: Study, estimates: Estimates, claims: Sequence[ParsedClaim]) -> list[Judged]:
    """Return what the measurements say of each claim that the study can decide; all of these are one family.

    Raises:
        GradsError: a measurement is missing, or two runs were not measured alike.
    """
    rows = []
    for model in study.models:
        for claim in claims:
            if in_study(study, claim):
                found = {domain: _sample(study, estimates, claim, model, domain) for domain in study.domains}
                known = [one for one in found.values() if isinstance(one, Sample)]
                if len(found) > 1:
                    whole = len(known) == len(found)
                    found[POOLED] = average(known) if whole else next(v for v in found.values() if isinstance(v, str))
                rows += [(claim, model, domain, one) for domain, one in found.items()]
    results = [estimate(None if isinstance(one, str) else one) for *_, one in rows]
    decisions = decide(results)
    return [
        Judged(claim, model, domain, result, p, low, high, one if isinstance(one, str) else verdict)
        for (claim, model, domain, one), result, (p, low, high, verdict) in zip(rows, results, decisions, strict=True)
    ]


def decide(results: Sequence[Estimate]) -> list[tuple[float, float, float, str]]:
    """Return for each estimate of a family its corrected p, its corrected bounds and the verdict.

    Holm's procedure tests the k-th smallest p of m at 5 % / (m - k + 1) and stops at the first that fails; the bounds
    are those of the t interval at the level at which the estimate was tested (those after the stop: at the level of the
    first that failed), so that they leave out 0 exactly where the procedure rejects.
    """
    corrected = holm([one.p for one in results])
    order = sorted((i for i, p in enumerate(corrected) if not math.isnan(p)), key=lambda i: results[i].p)
    decisions = [(math.nan, math.nan, math.nan, UNDECIDED)] * len(results)
    level, rejecting = SIGNIFICANCE, True
    for rank, index in enumerate(order):
        if rejecting:
            level = SIGNIFICANCE / (len(results) - rank)
            rejecting = results[index].p <= level
        low, high = results[index].bounds(1 - level)
        verdict = UNDECIDED
        if rejecting:
            verdict = SUPPORTED if results[index].value > 0 else REFUTED
        decisions[index] = (corrected[index], low, high, verdict)
    return decisions


def _sample(study: Study, estimates: Estimates, claim: ParsedClaim, model: str, domain: str) -> Sample | str:
    """Return how much better a claim's first run is than its second, or the reason why that is unknown.

    Of several tasks it is the mean over tasks, of relative forms that of each task's own ratio, as GrADS gives it.
    """
    by_title = {run.title: run for run in runs(study)}
    of = (model, domain, by_title[claim.run], by_title[claim.base])
    pairs = [estimates.pair(*of, quantity) for quantity in _quantities(study, claim)]
    known = [pair for pair in pairs if pair is not None]
    if len(known) < len(pairs):
        return NOT_MEASURED
    found = [one for pair in known if (one := _advantage(study, claim, *pair)) is not None]
    return average(found) if len(found) == len(known) else NO_BASELINE


def _advantage(study: Study, claim: ParsedClaim, one: Sample, other: Sample) -> Sample | None:
    """Return by how much the first is better, in the claim's form; none where a relative form has no baseline."""
    metric = MEASURES.get(claim.measure)
    better = 1.0 if claim.measure not in DRIFT and (metric is None or metric.higher_is_better) else -1.0
    if claim.claim.form == "absolute":
        points = 1.0 if claim.measure in (*DRIFT, *study.evaluation.metrics) else 100.0
        return scaled(difference(one, other), better * points)
    quotient = ratio(one, other)
    if quotient is None or (claim.measure == "bleu" and other.value < LEAST_BLEU_BASELINE):
        return None
    return scaled(shifted(quotient, -1.0), 100 * better)


def _quantities(study: Study, claim: ParsedClaim) -> list[Quantity]:
    """Return what a claim's measure stands for: of `general` every task's metric, else one quantity."""
    tasks = study.general.tasks
    if claim.measure in study.evaluation.metrics and claim.measure not in tasks:
        return [Quantity.domain(claim.measure)]
    if claim.measure in DRIFT:
        return [Quantity.general("text", claim.measure)]
    names = list(tasks) if claim.measure == GENERAL else [claim.measure]
    return [Quantity.general(name, tasks[name].metric) for name in names]


def _decimals(claim: ParsedClaim) -> int:
    if claim.claim.form == "relative":
        return 1
    if claim.measure in DRIFT:
        return 3
    return MEASURES[claim.measure].decimals if claim.measure in MEASURES else 1


def _row(study: Study, one: Judged) -> list[Entry]:
    decimals, unit = _decimals(one.claim), " %" if one.claim.claim.form == "relative" else ""
    value, known = one.estimate.value, not math.isnan(one.low)
    bounds = f"[{signed(one.low, decimals)}, {signed(one.high, decimals)}]" if known else ""
    domain = study.domains[one.domain].title if one.domain != POOLED else POOLED
    return [
        Entry(_sentence(one.claim)),
        Entry(domain, verbatim=True),
        Entry(signed(value, decimals) + unit * (not math.isnan(value))),
        Entry(bounds),
        Entry("< 0.001" if one.p < 0.001 else number(one.p, 3)),
        Entry(one.verdict, place=1 if one.verdict in (SUPPORTED, REFUTED) else 0),
        *_published(one.claim),
    ]


def _missing_row(claim: ParsedClaim) -> list[Entry]:
    empty = [Entry("")] * 4
    return [Entry(_sentence(claim)), *empty, Entry(NOT_IN_STUDY), *_published(claim)]


def _sentence(claim: ParsedClaim) -> str:
    return f"{claim.run} {claim.verb} {claim.base} on {claim.measure}"


def _published(claim: ParsedClaim) -> list[Entry]:
    value, unit = claim.claim.published, " %" if claim.claim.form == "relative" else ""
    return [Entry("" if value is None else signed(value, 2) + unit), Entry(claim.claim.source, verbatim=True)]


def _fact(study: Study, one: Judged) -> dict[str, Any]:
    found = one.estimate
    return (
        {"study": study.study, "model": one.model, "domain": one.domain}
        | _said(one.claim)
        | {"value": found.value, "low": found.low, "high": found.high, "interval": found.kind}
        | {"items": found.n, "seeds": found.seeds, "detectable": found.detectable}
        | {"corrected_low": one.low, "corrected_high": one.high, "corrected_p": one.p, "verdict": one.verdict}
        | {"published": one.claim.claim.published, "source": one.claim.claim.source}
    )


def _missing_fact(study: Study, claim: ParsedClaim) -> dict[str, Any]:
    published = {"published": claim.claim.published, "source": claim.claim.source}
    return {"study": study.study, **_said(claim), "verdict": NOT_IN_STUDY, **published}


def _said(claim: ParsedClaim) -> dict[str, str]:
    return {"claim": _sentence(claim), "form": claim.claim.form, "measure": claim.measure}


def _notes(study: Study, judged: Sequence[Judged]) -> list[str]:
    caution = ""
    if len(study.seeds) < LEAST_SEEDS:
        caution = f" With fewer than {LEAST_SEEDS} seeds no verdict covers what other seeds would give."
    elif len(study.seeds) < ENOUGH_SEEDS:
        caution = " With so few seeds, where these differ much, more than 5 % of true nulls fall (docs/statistics.md)."
    return [
        f"{SUPPORTED}: the corrected interval lies above 0; {REFUTED}: it lies below; else {UNDECIDED}.",
        f"Corrected by Holm's procedure over all {len(judged)} rows that were judged; bounds are those of the level at "
        "which a row was tested, so that an interval may be wider than another of equal error.",
        "Differences are in the metric's units, accuracies in points, relative ones in percent of the second arm's; "
        f"{NO_BASELINE}: the second arm's value is not above 0, or its BLEU is below {LEAST_BLEU_BASELINE:g}.",
        f"Intervals: {coverage(study)}.{caution}",
    ]
