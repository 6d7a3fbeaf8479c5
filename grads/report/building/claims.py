"""The table of claims: what was said of the arms, and whether the measurements bear it out."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from grads.config.study import Study
from grads.report.building.judging import (
    ITEMS_ONLY,
    NO_BASELINE,
    NOT_TESTED,
    NOTHING_FORGOTTEN,
    NOTHING_LEARNT,
    POOLED,
    Judged,
    Row,
    judge_claims,
)
from grads.report.metrics import LEAST_BLEU_BASELINE, MEASURES
from grads.report.rendering.entries import coverage, groups_note
from grads.report.rendering.layout import Block, Entry, Table, number, signed
from grads.report.statistics.estimates import Estimates, runs
from grads.report.statistics.samples import LEAST_SEEDS
from grads.report.statistics.verdicts import NO_LARGER, REFUTED, SUPPORTED, UNDECIDED
from grads.study.claim_sentences import DRIFT, ParsedClaim, in_study, read_claims
from grads.study.controls import CONTROLS, reference

NOT_IN_STUDY = "not in this study"
EXACT_SEEDS = 8
"""From so many seeds on an interval is hardly wider than one that knows how much seeds differ."""


def claims_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of claims: a row per claim, model and domain, and one over all domains.

    Raises:
        GradsError: the claims cannot be read, or a measurement is missing.
    """
    claims = read_claims(study)
    judged = judge_claims(study, estimates, claims)
    missing = [claim for claim in claims if not in_study(study, claim)]
    titles = {model: entry.title for model, entry in study.models.items()} | {POOLED: "All models"}
    blocks = [
        Block(f"{title}, {form} differences", rows)
        for model, title in titles.items()
        for form in ("absolute", "relative")
        if (rows := [_entries(study, one) for one in judged if _block_of(one) == (model, form)])
    ]
    if missing:
        blocks.append(Block("Not in this study", [_missing_row(claim) for claim in missing]))
    return Table(
        name="claims",
        label=study.label,
        caption="Claims, and what was measured: positive differences are in favour of a claim.",
        groups=[("", 2), ("Measured", 5), ("Published", 2)],
        header=["claim", "domain", "difference", "interval", "corrected p", "verdict", "steps", "difference", "where"],
        blocks=blocks,
        notes=_notes(study, judged),
        tidy=pd.DataFrame([_fact(study, one) for one in judged] + [_missing_fact(study, claim) for claim in missing]),
    )


def _block_of(one: Judged) -> tuple[str, str]:
    claim = one.row.claim.claim
    return POOLED if claim.pool == "models" else one.row.model, claim.form


def _decimals(claim: ParsedClaim) -> int:
    if claim.claim.form == "relative":
        return 1
    if claim.measure in DRIFT:
        return 3
    return MEASURES[claim.measure].decimals if claim.measure in MEASURES else 1


def _entries(study: Study, one: Judged) -> list[Entry]:
    row = one.row
    decision = one.decision
    decimals = _decimals(row.claim)
    unit = " %" if row.claim.claim.form == "relative" else ""
    value = row.estimate.value
    low, high = (row.estimate.low, row.estimate.high) if math.isnan(decision.low) else (decision.low, decision.high)
    bounds = f"[{signed(low, decimals)}, {signed(high, decimals)}]" if not math.isnan(low) else ""
    verdict = f"{one.verdict} ({row.reason})" if row.reason else one.verdict
    return [
        Entry(row.claim.sentence),
        Entry(_domain_title(study, row), verbatim=True),
        Entry(signed(value, decimals) + unit * (not math.isnan(value))),
        Entry(bounds),
        Entry("< 0.001" if decision.p < 0.001 else number(decision.p, 3)),
        Entry(verdict, place=int(one.verdict.startswith((SUPPORTED, REFUTED, NO_LARGER))), verbatim=bool(row.reason)),
        Entry(f"{number(row.steps, 0)} / {number(row.base_steps, 0)}"),
        *_published(row.claim),
    ]


def _domain_title(study: Study, row: Row) -> str:
    if row.domain == POOLED:
        return POOLED
    title = study.domains[row.domain].title
    several = row.claim.claim.pool == "models" and row.model != POOLED
    return f"{study.models[row.model].title}, {title}" if several else title


def _missing_row(claim: ParsedClaim) -> list[Entry]:
    return [Entry(claim.sentence), *[Entry("")] * 4, Entry(NOT_IN_STUDY), Entry(""), *_published(claim)]


def _published(claim: ParsedClaim) -> list[Entry]:
    value = claim.claim.published
    unit = " %" if claim.claim.form == "relative" else ""
    return [Entry("" if value is None else signed(value, 2) + unit), Entry(claim.claim.source, verbatim=True)]


def _fact(study: Study, one: Judged) -> dict[str, Any]:
    row = one.row
    decision = one.decision
    found = one.row.estimate
    return (
        {"study": study.study, "model": row.model, "domain": row.domain}
        | _said(row.claim)
        | {"value": found.value, "low": found.low, "high": found.high, "interval": found.kind}
        | {"items": found.n, "groups": found.groups, "seeds": found.seeds}
        | {"primary": one.primary, "level": decision.level, "detectable": _detectable(one)}
        | {"corrected_low": decision.low, "corrected_high": decision.high, "corrected_p": decision.p}
        | {"margin": row.claim.margin, "verdict": one.verdict, "reason": row.reason}
        | {"steps": row.steps, "base_steps": row.base_steps}
        | {"published": row.claim.claim.published, "source": row.claim.claim.source}
    )


def _detectable(one: Judged) -> float:
    """Return the smallest true difference that is seen at the level of the test; NaN where there was none."""
    level = one.decision.level
    return math.nan if math.isnan(level) else one.row.estimate.detectable(level)


def _missing_fact(study: Study, claim: ParsedClaim) -> dict[str, Any]:
    published = {"published": claim.claim.published, "source": claim.claim.source}
    return {"study": study.study, **_said(claim), "margin": claim.margin, "verdict": NOT_IN_STUDY, **published}


def _said(claim: ParsedClaim) -> dict[str, str]:
    return {"claim": claim.sentence, "form": claim.claim.form, "measure": claim.measure}


def _notes(study: Study, judged: Sequence[Judged]) -> list[str]:
    return [
        *_verdict_notes(study, judged),
        f"{NOTHING_FORGOTTEN} ({NOTHING_LEARNT}): training on all records loses (gains) nothing against the untuned "
        "model, the interval of that not being above 0, so that there is nothing to compare.",
        "Differences are in the metric's units, accuracies in points, relative ones in percent of the second arm's, "
        f"with intervals on the log scale; {NO_BASELINE}: the second arm's value is not above 0, or its BLEU is below "
        f"{LEAST_BLEU_BASELINE:g}. Steps: optimiser steps of the first and the second arm.",
        f"Intervals: {coverage(study)}.{_few_seeds(study)}",
        *_other_lengths(study, judged),
        *groups_note((one.row.claim.measure, one.row.estimate) for one in judged),
        "A pooled row is about these domains, benchmarks and models, this split and this sample of training records; "
        "it says nothing of others.",
    ]


def _verdict_notes(study: Study, judged: Sequence[Judged]) -> list[str]:
    if len(study.seeds) < LEAST_SEEDS:
        return [f"{ITEMS_ONLY}: with fewer than {LEAST_SEEDS} seeds there is no verdict; intervals are those of 95 %."]
    number_of = sum(one.primary for one in judged)
    return [
        f"{SUPPORTED}: the corrected interval lies above 0; {REFUTED}: it lies below; {NO_LARGER} d: it lies within d "
        f"of 0, d being stated with the claim, or half the published difference; else {UNDECIDED}.",
        f"The {number_of} rows over all domains, of the form of a claim that is stated first, are one family for "
        f"Holm's procedure. Where one comes out, the rows of its domains are a family at 1/{max(1, number_of)} of 5 %; "
        f"else they are {NOT_TESTED}. Intervals are those of the level at which a row was tested, of 95 % where it was "
        "not.",
        f"Verdicts of these {number_of} rows: {_counted(judged)}.",
    ]


def _counted(judged: Sequence[Judged]) -> str:
    """Return how many rows of the first family have which verdict, the most frequent first."""
    counts = Counter(
        "no larger than d" if one.verdict.startswith(NO_LARGER) else one.verdict for one in judged if one.primary
    )
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()) or "none"


def _other_lengths(study: Study, judged: Sequence[Judged]) -> list[str]:
    """Say of which claims the control has the lengths of another arm than the one that it is held against."""
    arms = {run.title: run.arm for run in runs(study)}
    found: list[str] = []
    for one in judged:
        sides = (arms[one.row.claim.run], arms[one.row.claim.base])
        for control, other in (sides, sides[::-1]):
            own = reference(study, control)
            methods = (study.arms[control].method, study.arms[other].method)
            if methods[0] == "random_length" and methods[1] not in CONTROLS and own != other:
                found.append(f"{control} has the lengths of {own}, not of {other}")
    return [f"Controls of other lengths: {'; '.join(dict.fromkeys(found))}."] if found else []


def _few_seeds(study: Study) -> str:
    if not LEAST_SEEDS <= len(study.seeds) < EXACT_SEEDS:
        return ""
    return (
        f" {len(study.seeds)} seeds say little of how much seeds differ, which makes intervals wide, and very wide at "
        "the levels of many claims (docs/statistics.md)."
    )
