"""Simulated studies that are judged by the code of the tables: rare changes, families of claims, and ratios."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.statistics_cases import LEVELS, VARIANTS, Case, Squares, answer_counts, corpus_bleu, simulate
from grads.report.statistics.bootstrap import group_items
from grads.report.statistics.samples import CROSSED, Estimate, Part, Sample, Spread, difference, measured, two_sided
from grads.report.statistics.verdicts import NO_LARGER, REFUTED, SUPPORTED, Decision, Question, decide

RARE_STUDIES, FAMILY_STUDIES, RATIO_STUDIES = 2000, 500, 10_000


def sample(table: np.ndarray, share: bool = False) -> Sample:
    """Return the sample of a mean over items from its table (items, seeds)."""
    groups = [group_items(column[:, None]) for column in table.T]
    return measured(table.mean(axis=0).tolist(), groups, "mean", "items", "cells", share)


def rare_changes(generator: np.random.Generator, studies: int = RARE_STUDIES) -> list[dict[str, Any]]:
    """Return how often the interval of a difference of right answers holds a small change, wholly to the better.

    An item that changes does so with all seeds, or with each seed by itself.
    """
    found = []
    for items, change, seeds, alike in itertools.product((40, 100), (0.01, 0.025), (1, 3, 5, 10), (True, False)):
        if seeds == 1 and not alike:
            continue
        covered, width = 0, 0.0
        for _ in range(studies):
            before = np.repeat(generator.random((items, 1)) < 0.5, seeds, axis=1)
            gains = np.repeat(generator.random((items, 1)) < change, seeds, axis=1)
            gains = gains if alike else generator.random((items, seeds)) < change
            pair = sample((before | gains).astype(float), True), sample((before & ~gains).astype(float), True)
            one = difference(*pair).estimate()
            covered += one.low <= change <= one.high
            width += one.half
        found.append({
            "items": items, "change": change, "seeds": seeds, "alike": alike, "studies": studies,
            "covered": covered / studies, "half": width / studies,
        })  # fmt: skip
    return found


def false_verdicts(generator: np.random.Generator, studies: int = FAMILY_STUDIES) -> list[dict[str, Any]]:
    """Return how often a study has a false verdict where some claims are true.

    Of three domains, a third of the claims holds on the first alone, by 8 standard errors of a domain, so that the rows
    of the domains are tested; a third are true nulls; a third differ on all domains by just their margin.
    """
    found = []
    for claims, seeds, ratio in itertools.product((6, 12), (3, 5, 10), (0.3, 5.0)):
        false = [_false(generator, claims, seeds, ratio) for _ in range(studies)]
        found.append({
            "claims": claims, "seeds": seeds, "ratio": ratio, "studies": studies,
            "pooled": float(np.mean([one[0] for one in false])), "domains": float(np.mean([one[1] for one in false])),
            "any": float(np.mean([any(one) for one in false])),
        })  # fmt: skip
    return found


def _false(generator: np.random.Generator, claims: int, seeds: int, ratio: float) -> tuple[bool, bool]:
    """Return whether a study has a false verdict on a pooled row, and on a row of a domain."""
    domains = [simulate(Case(""), 1, seeds, ratio, claims, generator) for _ in range(3)]
    third, unit = claims // 3, domains[0].truth
    effects = np.zeros((3, claims))
    effects[0, :third] = 8 * unit
    effects[:, 2 * third :] = 2 * unit
    margin = [*[None] * (2 * third), *[2 * unit] * (claims - 2 * third)]
    parts = [
        [estimate(one, claim, effects[place, claim]) for claim in range(claims)] for place, one in enumerate(domains)
    ]
    heads = [_mean([part[claim] for part in parts]) for claim in range(claims)]
    decisions = decide([Question(*pair) for pair in zip(heads, margin, strict=True)])
    wrong = any(_wrong(one, effects[:, claim].mean(), margin[claim]) for claim, one in enumerate(decisions))
    below = False
    for claim, one in enumerate(decisions):
        if one.verdict in (SUPPORTED, REFUTED):
            rows = decide([Question(part[claim], margin[claim]) for part in parts], 0.05 / claims)
            below |= any(_wrong(row, effects[place, claim], margin[claim]) for place, row in enumerate(rows))
    return wrong, below


def estimate(found: Squares, claim: int, effect: float) -> Estimate:
    """Return the estimate of the first study's claim, with an effect added."""
    items, seeds, both = (float(getattr(found, name)[0, claim]) ** 0.5 for name in ("items", "seeds", "both"))
    spread = Spread(Part(items, float(found.items_freedom)), Part(seeds, float(found.seeds_freedom)), both)
    return Estimate(float(found.value[0, claim]) + effect, 0, 0, 100, 3, 100, spread, CROSSED)


def _mean(parts: Sequence[Estimate]) -> Estimate:
    """Return the mean over domains; tests hold `grads.report.statistics.samples.average` to the same."""
    number, spreads = len(parts), [one.spread for one in parts if one.spread]
    items = _added([one.items for one in spreads])
    seeds = _added([one.seeds for one in spreads if one.seeds])
    both = float(np.sqrt(sum(one.both**2 for one in spreads)))
    return Estimate(
        sum(one.value for one in parts) / number, 0, 0, 100, 3, 100, Spread(items, seeds, both).divided(number), CROSSED
    )


def _added(parts: Sequence[Part]) -> Part:
    variances = np.array([one.error**2 for one in parts])
    freedom = variances.sum() ** 2 / sum(variances**2 / np.array([one.freedom for one in parts]))
    return Part(float(np.sqrt(variances.sum())), float(freedom))


def _wrong(one: Decision, effect: float, margin: float | None) -> bool:
    if one.verdict == NO_LARGER:
        return margin is not None and abs(effect) >= margin * (1 - 1e-9)
    return (one.verdict == SUPPORTED and effect <= 0) or (one.verdict == REFUTED and effect >= 0)


def ratios(generator: np.random.Generator, studies: int = RATIO_STUDIES) -> list[dict[str, Any]]:
    """Return on which side intervals of a ratio of two corpus BLEUs miss, on the plain and on the log scale."""
    found = []
    for items in (48, 200):
        truth = np.divide(*_bleu_pairs(generator, 400, 400)[0].mean(axis=0))
        values, gradients, counts = _bleu_pairs(generator, studies, items)
        influence = np.einsum("sakj,saj->sak", counts, gradients) / values[..., None]
        share = values[:, 0] / values[:, 1]
        error = (influence[:, 0] - influence[:, 1]).std(axis=1, ddof=1) * np.sqrt(items)
        half = float(two_sided(np.asarray(items - 1.0), 0.05)) * error
        scales = {
            "plain": (share * (1 - half), share * (1 + half)),
            "log": (share * np.exp(-half), share * np.exp(half)),
        }
        for scale, (low, high) in scales.items():
            found.append({
                "items": items, "scale": scale, "studies": studies,
                "too_low": float(np.mean(high < truth)), "too_high": float(np.mean(low > truth)),
            })  # fmt: skip
    return found


def _bleu_pairs(generator: np.random.Generator, studies: int, items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return BLEU (studies, 2), its gradients, and counts (studies, 2, items, 10) of a good and a poor model."""
    pool = answer_counts()
    sentences = generator.integers(len(pool), size=(studies, 1, items))
    level = np.array([LEVELS * 0.4, LEVELS * 0.55])[:, None] + 4 * generator.standard_normal((studies, 1, items))
    level = level + 2 * generator.standard_normal((studies, 2, items))
    variant = generator.integers(VARIANTS, size=(studies, 2, items))
    counts = pool[sentences, np.clip(level, 0, LEVELS - 1).astype(int), variant]
    values, gradients = corpus_bleu(counts.sum(axis=2, dtype=np.float64))
    return values, gradients, counts
