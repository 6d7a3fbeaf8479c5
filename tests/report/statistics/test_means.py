"""Means over domains: by hand, and against the pooled rows of claims."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grads.report.building.judging import judge_claims
from grads.report.measurements import collect
from grads.report.statistics.comparisons import holm
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate
from grads.report.statistics.means import compare_means, has_mean, mean_difference, mean_value, places_of
from grads.study.claim_sentences import read_claims
from grads.study.reading import parse_study

METEOR, QUIZ = Quantity.domain("meteor"), Quantity.general("quiz", "acc")
FULL, HALF, UNTUNED = Run("full", "1"), Run("random", "0.5"), Run("untuned", "0")


@pytest.fixture
def seeded(config):
    config["evaluation"]["metrics"] = ["meteor"]
    return parse_study(config | {"seeds": [0, 1, 2]})


def hand_table(study, values):
    """Return a long table of METEOR: values by domain and run, shape (seeds, items)."""
    rows = []
    for (domain, run), seeds in values.items():
        for seed, items in enumerate(seeds):
            names = {"model": "tiny", "domain": domain, "arm": run.arm, "ratio": run.ratio, "seed": seed}
            what = {"part": "domain", "task": "test", "metric": "meteor", "value": float(np.mean(items))}
            how = {"n": len(items), "signature": "", "statistic": "mean", "item_groups": []}
            rows.append(names | what | how | {"items": [[float(item)] for item in items]})
    return pd.DataFrame(rows)


def parts(table):
    """Return value, variance of items and of seeds, and what they share, of a table (seeds, items)."""
    seeds, items = table.shape
    rows, columns, whole = table.mean(axis=1), table.mean(axis=0), table.mean()
    a = seeds * ((columns - whole) ** 2).sum() / (items - 1)
    b = items * ((rows - whole) ** 2).sum() / (seeds - 1)
    residual = table - rows[:, None] - columns + whole
    e = (residual**2).sum() / ((items - 1) * (seeds - 1))
    return whole, *(one / (items * seeds) for one in (a, b, e))


def test_a_difference_of_means_over_two_domains_by_hand(seeded):
    """Each domain counts alike, however many items it has; variances add, with Satterthwaite's degrees of freedom."""
    luck = np.random.default_rng(3)
    sizes = {"law": 7, "tax": 12}
    values = {
        (domain, run): 0.4 + luck.normal(scale=0.1, size=(3, size)) + luck.normal(scale=0.05, size=(3, 1))
        for domain, size in sizes.items()
        for run in (FULL, HALF)
    }
    estimates = Estimates(hand_table(seeded, values))
    found = estimate(mean_difference(estimates, places_of(seeded, "tiny"), HALF, FULL, [METEOR]))
    each = {domain: parts(values[domain, HALF] - values[domain, FULL]) for domain in sizes}
    assert found.value == pytest.approx(np.mean([one[0] for one in each.values()]))
    of_items, of_seeds, both = ({domain: one[column] / 4 for domain, one in each.items()} for column in (1, 2, 3))

    def added(variances, freedom):
        total = sum(variances.values())
        return total, total**2 / sum(variances[domain] ** 2 / freedom[domain] for domain in variances)

    items, items_freedom = added(of_items, {domain: size - 1 for domain, size in sizes.items()})
    seeds, seeds_freedom = added(of_seeds, dict.fromkeys(sizes, 2))
    t_items, t_seeds = (stats.t.ppf(0.975, freedom) for freedom in (items_freedom, seeds_freedom))
    squared = t_items**2 * max(items - sum(both.values()), 0) + t_seeds**2 * seeds
    half = math.sqrt(max(squared, t_items**2 * items))
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_the_comparison_is_that_of_a_claims_row_over_all_domains(config, make_cells):
    config["evaluation"]["metrics"] = ["bleu", "meteor"]
    claims = [{"claim": f"random@0.5 beats full on {measure}"} for measure in ("bleu", "meteor", "general")]
    study = parse_study(config | {"seeds": [0, 1, 2], "claims": claims})
    estimates = Estimates(collect(study, make_cells(study)))
    rows = {one.row.claim.measure: one.row for one in judge_claims(study, estimates, read_claims(study))
            if one.row.domain == "pooled"}  # fmt: skip
    for measure, quantity, unit in (
        ("bleu", Quantity.domain("bleu"), 1),
        ("meteor", METEOR, 1),
        ("general", QUIZ, 100),
    ):
        compared = compare_means(study, estimates, places_of(study, "tiny"), [quantity])
        one = next(one for one in compared[HALF] if one.baseline == "full").estimate
        claimed = rows[measure].estimate
        assert [unit * one.value, unit * one.low, unit * one.high] == pytest.approx(
            [claimed.value, claimed.low, claimed.high]
        )
        assert one.p == pytest.approx(claimed.p)


def test_the_comparisons_of_a_mean_are_one_family(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config)
    estimates = Estimates(collect(study, make_cells(study)))
    compared = compare_means(study, estimates, places_of(study, "tiny"), [METEOR])
    found = [one for row in compared.values() for one in row]
    assert len(found) == 4
    assert [one.p for one in found] == holm([one.estimate.p for one in found])


def test_domains_are_fixed_and_items_of_general_tasks_are_not_more_for_being_asked_twice(config, make_cells):
    """Answers that are the same after tuning on either domain are those of as many items as the task has."""
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config)
    frame = collect(study, make_cells(study))
    law = frame[(frame["domain"] == "law") & (frame["task"] == "quiz")]
    rest = frame[(frame["domain"] == "law") & (frame["task"] != "quiz")]
    both = Estimates(pd.concat([law, law.assign(domain="tax"), rest]))
    alone = estimate(mean_difference(both, [("tiny", "law")], HALF, FULL, [QUIZ]))
    mean = estimate(mean_difference(both, places_of(study, "tiny"), HALF, FULL, [QUIZ]))
    assert mean.value == pytest.approx(alone.value)
    assert mean.error == pytest.approx(alone.error)
    # Test items of two domains are other items: as errors they are independent.
    pair = Estimates(frame)
    each = [pair.difference("tiny", domain, HALF, FULL, METEOR).error for domain in study.domains]
    found = estimate(mean_difference(pair, places_of(study, "tiny"), HALF, FULL, [METEOR])).error
    assert found == pytest.approx(math.hypot(*each) / 2)


def test_no_mean_is_taken_over_a_hole(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config)
    frame = collect(study, make_cells(study))
    holed = Estimates(frame[~((frame["domain"] == "tax") & (frame["arm"] == "full"))], partial=True)
    places = places_of(study, "tiny")
    assert mean_value(holed, places, FULL, [METEOR]) is None
    assert mean_value(holed, places, HALF, [METEOR]).value > 0
    assert mean_difference(holed, places, HALF, FULL, [METEOR]) is None
    assert mean_difference(holed, places, HALF, UNTUNED, [METEOR]).value is not None
    (one,) = compare_means(study, holed, places, [METEOR])[HALF]
    assert math.isnan(one.p)
    assert not one.significant


def test_the_mean_of_one_quantity_on_one_place_is_that_quantity(config, make_cells):
    """With all that only a single one has, such as the exact test of right and wrong answers."""
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config)
    estimates = Estimates(collect(study, make_cells(study)))
    one = estimate(mean_difference(estimates, [("tiny", "law")], HALF, FULL, [QUIZ]))
    assert one == estimates.difference("tiny", "law", HALF, FULL, QUIZ)
    assert one.pairs is not None


def test_one_domain_has_no_mean(config, study):
    assert has_mean(study)
    del config["domains"]["tax"]
    assert not has_mean(parse_study(config))
