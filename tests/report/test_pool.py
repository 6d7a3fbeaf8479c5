import dataclasses

import numpy as np
import pandas as pd
import pytest

from grads.report.pool import pools
from grads.report.statistics.estimates import Run
from grads.runtime.errors import GradsError
from grads.study.reading import parse_study

SCORES = dict(zip("abcdef", (6.0, 5.0, 4.0, 3.0, 2.0, 1.0), strict=True))
HALF = Run("random", "0.5")


def test_a_selection_is_put_in_the_order_of_the_ids(study, choose):
    scores = {"f": 9.0, "c": 8.0, "a": 7.0, "b": 6.0, "e": 5.0}
    [pool] = pools(study, choose(study, {("random", "0.5", 0): ("fca", scores)}))
    [chosen] = pool.selected(HALF)
    assert chosen.kept.tolist() == [True, False, True, False, False, True]
    assert chosen.eligible.tolist() == [True, True, True, False, True, True]
    np.testing.assert_array_equal(chosen.score, [7, 6, 8, np.nan, 5, 9])
    np.testing.assert_array_equal(chosen.rank, [3, 4, 2, np.nan, 5, 1])
    assert chosen.ranks
    assert pool.tokens["response_tokens"].tolist() == [1, 2, 3, 4, 5, 6]


def test_runs_that_keep_all_they_might_are_left_out(study, choose):
    files = choose(study, {("random", "0.5", 0): ("abcde", dict.fromkeys("abcde", 1.0))})
    [pool] = pools(study, files)
    # The others are missing, so they may choose; full and untuned never do.
    assert pool.runs == [Run("random", "0.05"), Run("grads_density", "0.5")]
    assert not pool.selected(HALF)[0].ranks


def test_a_run_without_one_of_its_seeds_is_missing(config, choose):
    study = parse_study(config | {"seeds": [0, 1]})
    choices = {("random", "0.5", 0): ("abc", SCORES), ("random", "0.05", 0): ("a", SCORES)}
    [pool] = pools(study, choose(study, choices | {("random", "0.05", 1): ("b", SCORES)}))
    assert pool.selected(HALF) == []
    assert len(pool.selected(Run("random", "0.05"))) == 2


def test_losses_are_those_of_the_seed_and_by_id(config, choose):
    study = parse_study(config | {"seeds": [0, 1]})
    choices = {("grads_density", "0.5", seed): ("abc", SCORES) for seed in (0, 1)}
    [pool] = pools(study, choose(study, choices))
    assert [pool.losses(seed)[0] for seed in (0, 1)] == ["warm", "warm"]
    np.testing.assert_array_equal(pool.losses(1)[1], [11, 12, 13, 14, 15, 16])
    assert pool.losses(7) is None


def test_the_untuned_models_losses_go_before(study, choose, tmp_path):
    files = choose(study, {("grads_density", "0.5", 0): ("abc", SCORES), ("random", "0.5", 0): ("abc", SCORES)})
    (tmp_path / "base").mkdir()
    base = pd.DataFrame({"id": ["b", "a"], "response_nll": [0.5, 0.25]})
    base.to_parquet(tmp_path / "base/signals.parquet")
    files[-1].stores["base"] = tmp_path / "base"
    [pool] = pools(study, files)
    point, losses = pool.losses(0)
    assert point == "base"
    np.testing.assert_array_equal(losses, [0.25, 0.5, np.nan, np.nan, np.nan, np.nan])
    base.drop(columns="response_nll").to_parquet(tmp_path / "base/signals.parquet")
    assert pool.losses(0)[0] == "warm"


def test_losses_of_a_model_that_scored_are_not_the_models_own(config, choose, tmp_path):
    study = parse_study(config | {"seeds": [0, 1]})
    files = choose(study, {("grads_density", "0.5", seed): ("abc", SCORES) for seed in (0, 1)})
    (tmp_path / "base").mkdir()
    pd.DataFrame({"id": ["a"], "response_nll": [0.25]}).to_parquet(tmp_path / "base/signals.parquet")
    files[0] = dataclasses.replace(files[0], stores={"base": tmp_path / "base"}, own=False)
    [pool] = pools(study, files)
    assert pool.losses(0) is None
    assert pool.losses(1)[0] == "warm"


def test_a_selection_of_other_records_is_refused(study, choose):
    files = choose(study, {("random", "0.5", 0): ("abc", SCORES)})
    table = pd.read_parquet(files[0].selection)
    table.assign(id=["x", *table["id"][1:]]).to_parquet(files[0].selection)
    [pool] = pools(study, files)
    with pytest.raises(GradsError, match="records that are not in the pool"):
        pool.selected(HALF)
