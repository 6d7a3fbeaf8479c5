import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from grads.report.building.overlap import agreement, chance_jaccard, overlap_facts, overlap_table
from grads.report.pool import Selected, pools
from grads.report.rendering.layout import ABSENT
from grads.study.reading import parse_study

UP = dict(zip("abcdef", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), strict=True))
DOWN = {id_: -score for id_, score in UP.items()}


def selected(kept, score):
    kept = np.asarray(kept, dtype=bool)
    return Selected(np.asarray(score, dtype=float), np.arange(1.0, len(kept) + 1), kept)


@pytest.mark.parametrize(("count", "one", "other"), [(5, 2, 3), (6, 3, 3), (4, 4, 2), (5, 1, 1), (6, 0, 2)])
def test_chance_is_the_mean_over_all_pairs_of_draws(count, one, other):
    pairs = itertools.product(itertools.combinations(range(count), one), itertools.combinations(range(count), other))
    found = [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in pairs]
    assert chance_jaccard(count, one, other) == pytest.approx(np.mean(found), abs=1e-12)


def test_chance_agrees_with_simulation():
    generator, count, one, other = np.random.default_rng(0), 200, 60, 100
    found = []
    for _ in range(4000):
        first, second = (set(generator.choice(count, size, replace=False).tolist()) for size in (one, other))
        found.append(len(first & second) / len(first | second))
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - chance_jaccard(count, one, other)) < 4 * error
    # The index at the mean number of shared records, 30, is another number.
    assert abs(chance_jaccard(5, 2, 3) - 1.2 / 3.8) > 0.005


def test_nothing_kept_has_no_index():
    assert math.isnan(chance_jaccard(5, 0, 0))


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=20))
def test_agreement_is_symmetric_and_as_scipy_says(rows):
    mine, theirs, scores, others = map(list, zip(*rows, strict=True))
    one, other = selected(mine, scores), selected(theirs, others)
    found, back = agreement(one, other), agreement(other, one)
    np.testing.assert_allclose(found, (back[1], back[0], *back[2:]), rtol=1e-12)
    if len(set(scores)) > 1 and len(set(others)) > 1:
        assert found[-1] == pytest.approx(spearmanr(scores, others).statistic)
    else:
        assert math.isnan(found[-1])
    if any(mine):
        assert agreement(one, one)[4] == 1


def test_only_records_that_both_might_have_chosen_count():
    one = selected([1, 1, 0, 0], [4, 3, 2, 1])
    other = Selected(np.array([np.nan, 1, 2, 3]), np.array([np.nan, 3, 2, 1]), np.array([False, False, True, True]))
    assert agreement(one, other)[:5] == (1, 2, 0, 2 / 3, 0)
    assert agreement(one, other)[-1] == pytest.approx(-1)


def test_pairs_of_arms_at_each_ratio_by_hand(study, choose):
    choices = {("random", "0.5", 0): ("abc", UP), ("grads_density", "0.5", 0): ("fca", DOWN)}
    [pool] = pools(study, choose(study, choices | {("random", "0.05", 0): ("a", UP)}))
    [fact] = overlap_facts(study, pool)
    assert (fact["ratio"], fact["arm"], fact["other"], fact["comparisons"]) == ("0.5", "random", "grads_density", 1)
    assert (fact["records"], fact["other_records"], fact["shared"], fact["shared_by_chance"]) == (3, 3, 2, 1.5)
    assert fact["jaccard"] == 2 / 4
    # 0, 1, 2 or 3 of 3 are shared in 1, 9, 9, 1 of 20 draws.
    assert fact["jaccard_by_chance"] == pytest.approx((0 * 1 + 9 * 1 / 5 + 9 * 2 / 4 + 1) / 20)
    assert fact["spearman"] == pytest.approx(-1)


def test_means_over_seeds_and_an_arm_with_itself(config, choose):
    study = parse_study(config | {"seeds": [0, 1]})
    choices = {("random", "0.5", 0): ("abc", UP), ("random", "0.5", 1): ("cde", UP)}
    choices |= {("grads_density", "0.5", seed): ("abc", DOWN) for seed in (0, 1)}
    [pool] = pools(study, choose(study, choices))
    facts = pd.DataFrame(overlap_facts(study, pool)).set_index(["ratio", "arm", "other"])
    assert facts.loc[("0.5", "random", "random"), "jaccard"] == 1 / 5
    assert facts.loc[("0.5", "grads_density", "grads_density"), "jaccard"] == 1
    assert facts.loc[("0.5", "random", "grads_density"), "jaccard"] == (1 + 1 / 5) / 2
    assert facts.loc[("0.5", "random", "grads_density"), "comparisons"] == 2
    # The other ratio of random is missing: it is there, and empty.
    assert math.isnan(facts.loc[("0.05", "random", "random"), "jaccard"])
    table = overlap_table(study, facts.reset_index())
    rows = {row[0].text: [entry.text for entry in row[1:]] for row in table.blocks[1].rows}
    assert rows["random, grads_density"] == ["3", "3", "2.0", "1.5", "0.600", "0.365", "\u22121.000"]
    assert rows["random, seeds"][-1] == "1.000"
    assert [block.title for block in table.blocks] == ["Tiny_1, Law: ratio 0.05", "Tiny_1, Law: ratio 0.5"]
    assert {entry.text for entry in table.blocks[0].rows[0][1:]} == {ABSENT}
