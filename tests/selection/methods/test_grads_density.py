"""The density form: its rules from their definitions, and what its choice must not depend on."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde

from grads.runtime.errors import GradsError
from grads.selection.contract import Inputs
from grads.selection.gradient_signals import Combination, Point
from grads.selection.methods.grads_density import METHOD, GradsDensity, NumberRule, Scale, combined
from grads.selection.registry import parse_parameters
from grads.signals.vectors import Vectors, split_lengths
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
    total = np.log(combined(inputs.signals["warm"], GradsDensity()))
    exact = METHOD.select(inputs, GradsDensity(exact=True)).score
    np.testing.assert_allclose(exact[:50], gaussian_kde(total)(total[:50]), rtol=1e-9)
    assert not np.array_equal(METHOD.select(inputs, GradsDensity()).score, exact)


def test_highest_is_the_order_of_the_numbers(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(40))
    total = inputs.signals["warm"]["embedding_l2"] + inputs.signals["warm"]["head_l2"]
    assert (METHOD.select(inputs, GradsDensity(rule="highest")).score == total).all()


@pytest.mark.parametrize("scale", get_args(Scale))
@pytest.mark.parametrize("rule", ["density", "median", "central", "highest", "sample"])
@pytest.mark.parametrize("reduction", ["l2", "std", "range"])
def test_the_unit_of_the_gradients_does_not_change_the_order(
    stores_of: Stores, rule: str, reduction: str, scale: str
) -> None:
    inputs = inputs_of(stores_of(50))
    warm = inputs.signals["warm"]
    numbers = [name for name in warm.columns if name.startswith(("embedding_", "head_"))]
    other = Inputs({**inputs.signals, "warm": warm.assign(**(1024 * warm[numbers]))}, {}, {}, 50, 0)
    given = {"rule": rule, "reduction": reduction, "scale": scale if rule in ("density", "sample") else "raw"}
    assert (chosen(inputs, **given) == chosen(other, **given)).all()


def test_a_sample_is_the_density_and_noise_of_seed_and_id_alone(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(30), seed=5)
    total = np.log(combined(inputs.signals["warm"], GradsDensity()))
    noise = METHOD.select(inputs, GradsDensity(rule="sample")).score - np.log(gaussian_kde(total)(total))
    expected = [-np.log(-np.log(uniform(id_, own_seed(5, "grads_density")))) for id_ in inputs.pool["id"]]
    np.testing.assert_allclose(noise, expected, rtol=1e-9)


def test_the_first_draw_of_a_sample_is_proportional_to_the_density(stores_of: Stores) -> None:
    stores = stores_of(4)
    inputs = with_sizes(stores, [1.0, 1.1, 1.2, 5.0])
    logs = np.log([1.0, 1.1, 1.2, 5.0])
    shares = gaussian_kde(logs)(logs)
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
    column = np.log(stores["warm"].signals["head_mean_abs"].to_numpy())
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


def test_densities_of_ratios_by_hand(stores_of: Stores) -> None:
    # By factors 1, 2, 4 lie as close as 100, 200, 400, and 1000 next to them makes these denser. As numbers the four
    # smallest lie closer.
    inputs = with_sizes(stores_of(7), [1.0, 2.0, 4.0, 100.0, 200.0, 400.0, 1000.0])
    assert chosen(inputs)[0] in (4, 5)
    assert chosen(inputs, scale="raw")[0] in (0, 1, 2, 3)


@pytest.mark.parametrize("scale", get_args(Scale))
@pytest.mark.parametrize("bandwidth", [0.05, 0.3, 2])
@pytest.mark.parametrize("combination", ["sum", "joint"])
def test_a_bandwidth_is_that_of_scipy(stores_of: Stores, scale: str, bandwidth: float, combination: str) -> None:
    inputs = inputs_of(stores_of(80))
    warm = inputs.signals["warm"]
    points = warm[["embedding_l2", "head_l2"]].to_numpy().T
    points = points if combination == "joint" else points.sum(axis=0, keepdims=True)
    points = np.log(points) if scale == "log" else points
    expected = gaussian_kde(points, bw_method=bandwidth)(points)
    found = METHOD.select(inputs, GradsDensity(scale=scale, bandwidth=bandwidth, combination=combination)).score
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), rtol=1e-9)


@pytest.mark.parametrize("scale", get_args(Scale))
@pytest.mark.parametrize("rule", ["density", "sample"])
@pytest.mark.parametrize("bandwidth", [None, 0.4])
@pytest.mark.parametrize("count", [4, 40, 80])
def test_the_notes_say_what_other_bandwidths_would_keep(
    stores_of: Stores, scale: str, rule: str, bandwidth: float | None, count: int
) -> None:
    whole = inputs_of(stores_of(80), seed=3)
    inputs = Inputs(whole.signals, {}, {}, count, 3)
    width = bandwidth or 80 ** (-1 / 5)
    given = {"scale": scale, "rule": rule}
    kept = set(chosen(inputs, **given, bandwidth=bandwidth)[:count])
    notes = METHOD.select(inputs, GradsDensity(**given, bandwidth=bandwidth)).notes
    for name, other in (("half", width / 2), ("double", width * 2)):
        stays = kept & set(chosen(inputs, **given, bandwidth=other)[:count])
        assert notes[f"kept_at_{name}_bandwidth"] == pytest.approx(len(stays) / count, abs=1e-4)
    assert count < 80 or notes["kept_at_half_bandwidth"] == notes["kept_at_double_bandwidth"] == 1.0


def test_a_choice_that_the_bandwidth_makes_is_told_from_one_that_the_records_make(stores_of: Stores) -> None:
    random = np.random.default_rng(0)
    heap = np.exp(np.concatenate([random.normal(0, 0.001, 20), random.uniform(-3, 3, 380)]))
    flat = np.exp(random.uniform(-3, 3, 400))
    kept = {}
    for name, sizes in (("heap", heap), ("flat", flat)):
        inputs = with_sizes(stores_of(400), sizes.tolist())
        notes = METHOD.select(Inputs(inputs.signals, {}, {}, 20, 0), GradsDensity(bandwidth=0.05)).notes
        kept[name] = notes["kept_at_half_bandwidth"]
    assert kept["heap"] > 0.9
    assert kept["flat"] < 0.7


def test_gradients_that_vanish_take_the_smallest_logarithm_and_are_counted(stores_of: Stores) -> None:
    sizes = [0.0, 2.0, 3.0, 0.0, 4.0, 5.0]
    choice = METHOD.select(with_sizes(stores_of(6), sizes), GradsDensity())
    logs = np.log([2.0, 2.0, 3.0, 2.0, 4.0, 5.0])
    np.testing.assert_allclose(choice.score, gaussian_kde(logs)(logs), rtol=1e-9)
    assert choice.notes["records_without_gradient"] == 2
    raw = METHOD.select(with_sizes(stores_of(6), sizes), GradsDensity(scale="raw"))
    np.testing.assert_allclose(raw.score, gaussian_kde(sizes)(sizes), rtol=1e-9)
    none = METHOD.select(with_sizes(stores_of(3), [0.0] * 3), GradsDensity())
    assert (none.score.tolist(), none.notes["records_without_gradient"]) == ([1.0] * 3, 3)


def test_a_layer_that_vanishes_has_a_place_in_a_joint_density(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(20))
    warm = inputs.signals["warm"].assign(head_l2=[0.0, *inputs.signals["warm"]["head_l2"][1:]])
    for combination in ("joint", "zsum", "product"):
        changed = Inputs({**inputs.signals, "warm": warm}, {}, {}, 20, 0)
        choice = METHOD.select(changed, GradsDensity(combination=combination))
        assert np.isfinite(choice.score).all()
        assert choice.notes["records_without_gradient"] == 1


@pytest.mark.parametrize("rule", get_args(NumberRule))
def test_rules_of_numbers_have_neither_scale_nor_bandwidth(stores_of: Stores, rule: str) -> None:
    parameters = parse_parameters(METHOD, {"rule": rule})
    assert parameters == parse_parameters(METHOD, parameters.model_dump())
    assert (parameters.model_dump()["scale"], METHOD.select(inputs_of(stores_of(9)), parameters).notes) == ("raw", {})
    with pytest.raises(GradsError, match=f"rule '{rule}' takes the numbers as they are: remove scale"):
        parse_parameters(METHOD, {"rule": rule, "scale": "log"})
    with pytest.raises(GradsError, match=f"rule '{rule}' estimates no density: remove bandwidth"):
        parse_parameters(METHOD, {"rule": rule, "bandwidth": 0.2})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bandwidth": 0}, "parameter 'bandwidth' of method 'grads_density' is 0: write a number above 0"),
        ({"bandwidth": -1.0}, r"parameter 'bandwidth' of method 'grads_density' is -1\.0: write a number above 0"),
        ({"bandwidth": "scott"}, "parameter 'bandwidth' of method 'grads_density' is 'scott': write a number"),
        ({"scale": "ln"}, "parameter 'scale' of method 'grads_density' is 'ln': write 'raw' or 'log'"),
        (
            {"reduction": "vector", "combination": "joint", "scale": "log"},
            "reduction 'vector' has numbers below 0, which have no logarithm: set scale to raw",
        ),
    ],
)
def test_scales_and_bandwidths_that_there_are_none_of(given: dict[str, Any], said: str) -> None:
    with pytest.raises(GradsError, match=said):
        parse_parameters(METHOD, given)


def compared(stores: dict[str, Any], directions: list[list[float]], sizes: list[float], count: int) -> Inputs:
    """Return inputs with these hidden states, and combined numbers."""
    inputs = with_sizes(stores, sizes)
    hidden = Vectors(*split_lengths(np.array(directions)))
    return Inputs(inputs.signals, {"base": {"hidden": hidden}}, {}, count, 0)


def test_the_densest_that_are_unlike_each_other_by_hand(stores_of: Stores) -> None:
    # By size 4, 3, 2, 1: R = 1, 3/4, 2/4, 1/4. The second is a copy of the first and falls to 0.75 - 0.5.
    inputs = compared(stores_of(4), [[1, 0], [2, 0], [0, 1], [-1, 0]], [4.0, 3.0, 2.0, 1.0], 4)
    choice = METHOD.select(inputs, GradsDensity(rule="highest", similarity=0.5))
    assert choice.order is not None
    # After the first and the third: 0.25, and 0.25 - 0.5 * 0 of the last, whose cosine to the third is 0.
    assert choice.order.tolist() == [0, 3, 2, 1]
    np.testing.assert_allclose(choice.score, [1.0, 0.25, 0.5, 0.75])


def test_without_similarity_nothing_is_compared(stores_of: Stores) -> None:
    assert METHOD.needs(GradsDensity()).stores == {"warm": {"gradients"}}
    assert METHOD.needs(GradsDensity(similarity=0.5)).stores == {"warm": {"gradients"}, "base": {"hidden"}}
    by_gradients = GradsDensity(similarity=0.5, content="gradients", point="base")
    assert METHOD.needs(by_gradients).stores == {"base": {"gradients", "sgd_features"}}
    plain = inputs_of(stores_of(30))
    dense = METHOD.select(plain, GradsDensity())
    hidden = Inputs(plain.signals, {"base": {"hidden": Vectors(np.eye(30))}}, {}, 30, 0)
    unlike = METHOD.select(hidden, GradsDensity(similarity=3.0))
    # Records at right angles to each other have no similarity.
    assert dense.order is not None
    assert unlike.order is not None
    assert dense.order.tolist() == unlike.order.tolist() == chosen(plain).tolist()


def test_the_cut_by_score_keeps_what_is_denser_than_the_mean(stores_of: Stores) -> None:
    for parameters in (GradsDensity(cut="score"), GradsDensity(cut="score", combination="joint")):
        inputs = inputs_of(stores_of(60))
        score = METHOD.select(inputs, parameters).score
        count = METHOD.automatic_count(parameters)
        assert count is not None
        assert count(inputs) == (score >= score.mean()).sum()
    alike = with_sizes(stores_of(5), [2.0] * 5)
    assert METHOD.automatic_count(GradsDensity(cut="score"))(alike) == 5  # type: ignore[misc]


def test_of_all_weights_there_is_the_norm_alone(stores_of: Stores) -> None:
    inputs = inputs_of(stores_of(20))
    warm = inputs.signals["warm"].assign(weights_l2=inputs.signals["warm"]["head_l2"])
    of_weights = Inputs({**inputs.signals, "warm": warm}, {}, {}, 20, 0)
    assert chosen(of_weights, layers=["weights"]).tolist() == chosen(inputs, layers=["head"]).tolist()
    with pytest.raises(GradsError, match="of the layer 'weights' there is the norm alone, no 'std'"):
        parse_parameters(METHOD, {"layers": ["weights"], "reduction": "std"})
