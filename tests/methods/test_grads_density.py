"""The density form: its rules from their definitions, and what its choice must not depend on."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde

from grads.methods.contract import Inputs
from grads.methods.grads_density import METHOD, GradsDensity, combined
from grads.methods.signals import Combination, Point
from grads.study.seeds import own_seed, uniform

Stores = Callable[..., Any]


def inputs_of(stores: dict[str, Any], seed: int = 0) -> Inputs:
    """Return what the selection stage would give to the method, with all records to choose."""
    signals = {name: stores[name].signals for name in ("tokens", "warm")}
    return Inputs(signals, {}, {}, count=len(signals["tokens"]), seed=seed)


def chosen(inputs: Inputs, **parameters: Any) -> np.ndarray:
    """Return positions by falling score."""
    return np.argsort(-METHOD.select(inputs, GradsDensity(**parameters)).score, kind="stable")


def with_sizes(stores: dict[str, Any], sizes: list[float]) -> Inputs:
    """Return inputs in which the records' combined numbers are the sizes given."""
    inputs = inputs_of(stores)
    warm = inputs.signals["warm"].assign(embedding_l2=sizes, head_l2=0.0)
    return Inputs({**inputs.signals, "warm": warm}, {}, {}, inputs.count, inputs.seed)


def test_the_middle_is_by_rank_and_equal_numbers_share_theirs(stores_of: Stores) -> None:
    inputs = with_sizes(stores_of(5), [100.0, 1.0, 2.0, 3.0, 4.0])
    choice = METHOD.select(inputs, GradsDensity(rule="central"))
    # Ranks 5, 1, 2, 3, 4 of 5: shares 0.9, 0.1, 0.3, 0.5, 0.7.
    np.testing.assert_allclose(choice.score, [-0.4, -0.4, -0.2, 0.0, -0.2], atol=1e-12)
    tied = METHOD.select(with_sizes(stores_of(4), [2.0, 2.0, 2.0, 9.0]), GradsDensity(rule="central"))
    # The average rank of the three is 2: share 1.5 / 4.
    np.testing.assert_allclose(tied.score, [-0.125, -0.125, -0.125, -0.375], atol=1e-12)


def test_the_middle_of_an_odd_number_is_its_median(stores_of: Stores) -> None:
    sizes = np.random.default_rng(2).lognormal(size=31)
    order = chosen(with_sizes(stores_of(31), sizes.tolist()), rule="central")
    assert sizes[order[0]] == np.median(sizes)


def test_the_nearest_to_the_median_by_hand(stores_of: Stores) -> None:
    inputs = with_sizes(stores_of(5), [100.0, 1.0, 2.5, 3.0, 4.0])
    # The median is 3: by value 2.5 comes before 4, by rank they tie.
    assert METHOD.select(inputs, GradsDensity(rule="median")).score.tolist() == [-97.0, -2.0, -0.5, 0.0, -1.0]


def test_ranks_as_far_from_the_middle_are_equal(stores_of: Stores) -> None:
    for count in range(2, 60):
        score = METHOD.select(with_sizes(stores_of(count), range(count)), GradsDensity(rule="central")).score
        assert score.tolist() == score[::-1].tolist()
        assert len(set(score.tolist())) == (count + 1) // 2


def test_exact_densities_are_those_of_scipy_however_many(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(6_000))
    total = combined(inputs.signals["warm"], GradsDensity())
    exact = METHOD.select(inputs, GradsDensity(exact=True)).score
    np.testing.assert_allclose(exact[:50], gaussian_kde(total)(total[:50]), rtol=1e-9)
    assert not np.array_equal(METHOD.select(inputs, GradsDensity()).score, exact)


def test_highest_is_the_order_of_the_numbers(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(40))
    total = inputs.signals["warm"]["embedding_l2"] + inputs.signals["warm"]["head_l2"]
    assert (METHOD.select(inputs, GradsDensity(rule="highest")).score == total).all()


@pytest.mark.parametrize("rule", ["density", "median", "central", "highest", "sample"])
@pytest.mark.parametrize("reduction", ["l2", "std", "range"])
def test_the_unit_of_the_gradients_does_not_change_the_order(stores_of: Stores, rule: str, reduction: str) -> None:
    inputs = inputs_of(stores_of(50))
    warm = inputs.signals["warm"]
    numbers = [name for name in warm.columns if name.startswith(("embedding_", "head_"))]
    other = Inputs({**inputs.signals, "warm": warm.assign(**(1024 * warm[numbers]))}, {}, {}, 50, 0)
    assert (chosen(inputs, rule=rule, reduction=reduction) == chosen(other, rule=rule, reduction=reduction)).all()


def test_a_sample_is_the_density_and_noise_of_seed_and_id_alone(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(30), seed=5)
    total = combined(inputs.signals["warm"], GradsDensity())
    noise = METHOD.select(inputs, GradsDensity(rule="sample")).score - np.log(gaussian_kde(total)(total))
    expected = [-np.log(-np.log(uniform(id_, own_seed(5, "grads_density")))) for id_ in inputs.pool["id"]]
    np.testing.assert_allclose(noise, expected, rtol=1e-9)


def test_the_first_draw_of_a_sample_is_proportional_to_the_density(stores_of: Stores) -> None:
    stores = stores_of(4)
    inputs = with_sizes(stores, [1.0, 1.1, 1.2, 5.0])
    shares = gaussian_kde([1.0, 1.1, 1.2, 5.0])([1.0, 1.1, 1.2, 5.0])
    shares = shares / shares.sum()
    draws = 400
    first = [int(chosen(Inputs(inputs.signals, {}, {}, 4, seed), rule="sample")[0]) for seed in range(draws)]
    counts = np.bincount(first, minlength=4)
    # Chi-square with 3 degrees of freedom: 21.1 is its 0.9999 quantile.
    assert ((counts - draws * shares) ** 2 / (draws * shares)).sum() < 21.1


@pytest.mark.parametrize("combination", get_args(Combination))
@pytest.mark.parametrize("reduction", ["l2", "vector"])
def test_there_is_a_count_where_there_is_one_positive_number(combination: str, reduction: str) -> None:
    if reduction == "vector" and combination in ("sum", "zsum", "product"):
        with pytest.raises(ValueError, match="gives no single number"):
            GradsDensity(combination=combination, reduction=reduction)
        return
    parameters = GradsDensity(combination=combination, reduction=reduction)
    assert parameters.one_number == (reduction == "l2" and combination != "joint")
    counts = METHOD.automatic_count(parameters) is not None
    assert counts == (parameters.one_number and combination != "zsum")


@pytest.mark.parametrize("point", get_args(Point))
def test_the_point_is_the_store_that_is_read(stores_of: Stores, point: str) -> None:
    parameters = GradsDensity(point=point, reduction="mean_abs", layers=["head"])
    assert METHOD.needs(parameters).stores == {point: {"gradients", "mean_abs"}}
    stores = stores_of(12)
    inputs = Inputs({"tokens": stores["tokens"].signals, point: stores["warm"].signals}, {}, {}, 12, 0)
    column = stores["warm"].signals["head_mean_abs"].to_numpy()
    np.testing.assert_allclose(METHOD.select(inputs, parameters).score, gaussian_kde(column)(column), rtol=1e-9)
    count = METHOD.automatic_count(parameters)
    assert count is not None
    assert 1 <= count(inputs) <= 12


def test_duplicates_of_a_record_make_its_neighbourhood_denser(stores_of: Stores) -> None:
    sizes = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    alone = chosen(with_sizes(stores_of(6), sizes))
    assert sizes[alone[0]] in (3.0, 4.0)
    crowded = chosen(with_sizes(stores_of(12), [*sizes, *[6.0] * 6]))
    assert [*sizes, *[6.0] * 6][crowded[0]] == 6.0


def test_a_gradient_that_is_no_number_has_no_density(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(5))
    warm = inputs.signals["warm"].assign(head_l2=[1.0, np.nan, 2.0, 3.0, 4.0])
    broken = Inputs({**inputs.signals, "warm": warm}, {}, {}, 5, 0)
    for parameters in ({}, {"combination": "joint"}, {"rule": "sample"}, {"rule": "median"}, {"rule": "central"}):
        assert np.isnan(METHOD.select(broken, GradsDensity(**parameters)).score).any()


def test_combined_numbers_follow_the_layers_asked_for(stores_of: Stores) -> None:
    warm: pd.DataFrame = stores_of(9)["warm"].signals
    assert (combined(warm, GradsDensity(layers=["embedding"])) == warm["embedding_l2"]).all()
    head = GradsDensity(combination="head", reduction="range")
    np.testing.assert_allclose(combined(warm, head), warm["head_max"] - warm["head_min"])
