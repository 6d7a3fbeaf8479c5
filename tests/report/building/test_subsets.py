import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from grads.report.building.subsets import compare, describe, subset_facts, subset_table
from grads.report.pool import pools
from grads.report.rendering.layout import ABSENT
from grads.study.reading import parse_study

SCORES = dict.fromkeys("abcdef", 1.0)


def test_numbers_of_a_subset_by_hand():
    pool = np.array([1.0, 2.0, 3.0, 4.0])
    assert describe(pool)[:2] == [4, 2.5]
    np.testing.assert_allclose(describe(pool)[2:], [1.3, 1.6, 1.9, 2.2, 2.5, 2.8, 3.1, 3.4, 3.7])
    difference, distance = compare(pool[2:], pool)
    assert difference == pytest.approx((3.5 - 2.5) / math.sqrt(1.25))
    assert distance == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_distance_is_that_of_the_distribution_functions(rows):
    pool, kept = np.array([row[0] for row in rows], dtype=float), np.array([row[1] for row in rows])
    if not kept.any():
        return
    chosen = pool[kept]
    gaps = [abs((chosen <= at).mean() - (pool <= at).mean()) for at in pool]
    difference, distance = compare(chosen, pool)
    assert distance == pytest.approx(max(gaps))
    assert distance == pytest.approx(kstest(chosen, pool, method="asymp").statistic)
    assert math.isnan(difference) == (len(set(pool)) == 1)


def test_what_is_not_known_counts_for_nothing():
    pool = np.array([1.0, np.nan, 3.0])
    assert describe(pool)[:2] == [2, 2]
    assert compare(pool[1:], pool) == (1.0, 0.5)
    assert all(math.isnan(value) for value in (*describe(pool[1:2]), *compare(pool[1:2], pool)))


def facts_of(study, files):
    [pool] = pools(study, files)
    return pd.DataFrame(subset_facts(study, pool))


def test_means_over_seeds_next_to_the_pool(config, choose):
    study = parse_study(config | {"seeds": [0, 1]})
    choices = {("random", "0.5", 0): ("abc", SCORES), ("random", "0.5", 1): ("bcd", SCORES)}
    choices |= {("grads_density", "0.5", seed): ("ef", SCORES) for seed in (0, 1)}
    facts = facts_of(study, choose(study, choices))
    found = facts.set_index(["arm", "ratio", "quantity"])
    assert found.loc[("(pool)", "1", "response_tokens"), ["records", "mean", "p50"]].tolist() == [6, 3.5, 3.5]
    assert found.loc[("random", "0.5", "response_tokens"), ["records", "mean", "p50"]].tolist() == [3, 2.5, 2.5]
    # Losses of the seeds are 1 to 6 and 11 to 16, so the means kept are 2 and 13.
    assert found.loc[("random", "0.5", "response_nll"), "mean"] == 7.5
    assert found.loc[("grads_density", "0.5", "response_nll"), "ks_distance"] == pytest.approx(4 / 6)
    assert found.loc[("random", "0.05", "response_tokens"), "mean":"ks_distance"].isna().all()
    assert set(facts["point"]) == {"tokens", "warm"}
    table = subset_table(study, facts)
    rows = {row[0].text: [entry.text for entry in row[1:]] for row in table.blocks[0].rows}
    assert list(rows) == ["(pool)", "random@0.05", "random@0.5", "grads_density@0.5"]
    tokens, losses = ["3.5", "3.5", "1.5 to 5.5"], ["8.500", "8.500", "6.500 to 10.500"]
    assert rows["(pool)"] == ["6", *tokens, ABSENT, ABSENT, *losses, ABSENT, ABSENT]
    assert set(rows["random@0.05"]) == {ABSENT}
    assert any("after the preliminary epoch: Tiny_1 on Law." in note for note in table.notes)


def test_losses_that_no_store_holds_are_empty_and_a_note_says_why(study, choose):
    choices = {("random", "0.5", 0): ("abc", SCORES), ("random", "0.05", 0): ("a", SCORES)}
    facts = facts_of(study, choose(study, choices))
    losses = facts[facts["quantity"] == "response_nll"]
    assert losses.loc[:, "records":].isna().all(axis=None)
    assert (losses["point"] == "").all()
    assert any("not known for Tiny_1 on Law" in note for note in subset_table(study, facts).notes)
