"""What a method makes of gradient statistics: against the matrices that they were taken of."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import zscore

from grads.runtime.errors import GradsError
from grads.selection.gradient_signals import (
    VECTOR,
    Combination,
    Layer,
    LengthField,
    Reduction,
    count_near_the_mean,
    count_to_the_mean,
    gradient_measures,
    highest,
    lengths,
    logarithms,
    magnitude,
    points_of,
    reduced,
)
from grads.selection.registry import find_method, parse_parameters

LAYERS: list[Layer] = ["embedding", "head", "adapter"]
NORMS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40).map(np.array)


@pytest.fixture
def gradients() -> dict[str, np.ndarray]:
    """For each layer the gradients of seven records, as matrices of 5 x 4."""
    random = np.random.default_rng(0)
    return {layer: random.normal(size=(7, 5, 4)) * scale for layer, scale in zip(LAYERS, (1, 30, 0.1), strict=True)}


@pytest.fixture
def statistics(gradients: dict[str, np.ndarray]) -> pd.DataFrame:
    """What the probe's stores hold of these gradients."""
    columns: dict[str, Any] = {"id": list("abcdefg")}
    for layer, matrices in gradients.items():
        columns[f"{layer}_l2"] = [np.linalg.norm(one) for one in matrices]
        columns[f"{layer}_mean_abs"] = np.abs(matrices).mean(axis=(1, 2))
        for name in VECTOR:
            columns[f"{layer}_{name}"] = getattr(np, name)(matrices, axis=(1, 2))
    return pd.DataFrame(columns)


ON_MATRICES = {
    "l2": lambda one: np.sqrt((one**2).sum()),
    "mean_abs": lambda one: np.abs(one).mean(),
    "std": lambda one: one.std(),
    "range": np.ptp,
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("reduction", ON_MATRICES)
def test_a_reduction_is_that_of_the_matrix(
    statistics: pd.DataFrame, gradients: dict[str, np.ndarray], layer: Layer, reduction: Any
) -> None:
    expected = [ON_MATRICES[reduction](one) for one in gradients[layer]]
    np.testing.assert_allclose(reduced(statistics, layer, reduction), expected, rtol=1e-12)


def test_every_reduction_but_the_vector_gives_one_number() -> None:
    assert {*ON_MATRICES, "vector"} == set(get_args(Reduction))


@pytest.mark.parametrize("how", ["sum", "zsum", "product"])
def test_a_combination_does_not_depend_on_the_order_of_layers(statistics: pd.DataFrame, how: Any) -> None:
    first, *others = (magnitude(statistics, list(order), "l2", how) for order in permutations(LAYERS))
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-12, atol=1e-12)


def test_combinations_of_three_layers(statistics: pd.DataFrame) -> None:
    columns = [statistics[f"{layer}_l2"].to_numpy() for layer in LAYERS]
    np.testing.assert_allclose(magnitude(statistics, LAYERS, "l2", "sum"), sum(columns))
    np.testing.assert_allclose(magnitude(statistics, LAYERS, "l2", "product"), columns[0] * columns[1] * columns[2])
    np.testing.assert_allclose(magnitude(statistics, LAYERS, "l2", "zsum"), sum(zscore(one) for one in columns))
    for index, how in enumerate(("embedding", "head")):
        assert (magnitude(statistics, LAYERS, "l2", how) == columns[index]).all()  # type: ignore[arg-type]


def test_in_a_sum_of_deviations_units_do_not_count_and_constant_layers_add_nothing(statistics: pd.DataFrame) -> None:
    before = magnitude(statistics, ["embedding", "head"], "l2", "zsum")
    other_units = statistics.assign(head_l2=1000 * statistics["head_l2"] + 7)
    np.testing.assert_allclose(magnitude(other_units, ["embedding", "head"], "l2", "zsum"), before, rtol=1e-9)
    constant = statistics.assign(adapter_l2=3.0)
    np.testing.assert_allclose(magnitude(constant, LAYERS, "l2", "zsum"), before, rtol=1e-12)


@pytest.mark.parametrize(
    ("layers", "reduction", "how", "columns"),
    [
        (["embedding", "head"], "l2", "joint", ["embedding_l2", "head_l2"]),
        (["head", "embedding"], "std", "joint", ["head_std", "embedding_std"]),
        (["embedding", "head"], "mean_abs", "head", ["head_mean_abs"]),
        (LAYERS, "vector", "joint", [f"{layer}_{name}" for layer in LAYERS for name in ("max", "min", "mean", "std")]),
        (LAYERS, "vector", "embedding", ["embedding_max", "embedding_min", "embedding_mean", "embedding_std"]),
    ],
)
def test_coordinates_of_a_joint_density(
    statistics: pd.DataFrame, layers: list[Layer], reduction: Reduction, how: Combination, columns: list[str]
) -> None:
    found = points_of(statistics, layers, reduction, how)
    assert found.shape == (7, len(columns))
    assert (found == statistics[columns].to_numpy()).all()


@pytest.mark.parametrize(
    ("layers", "mean_abs", "held"),
    [
        (["embedding", "head"], False, {"gradients"}),
        (["adapter"], False, {"gradients", "adapter"}),
        (["head", "adapter"], True, {"gradients", "adapter", "mean_abs"}),
        (["head"], True, {"gradients", "mean_abs"}),
    ],
)
def test_what_a_store_must_hold(layers: list[Layer], mean_abs: bool, held: set[str]) -> None:
    assert gradient_measures(layers, mean_abs) == held


def naive_count(norms: Sequence[float]) -> int:
    logs = [np.log(one) for one in norms if one > 0]
    mean = sum(logs) / len(logs)
    deviation = (sum((one - mean) ** 2 for one in logs) / len(logs)) ** 0.5
    return max(1, sum(abs(one - mean) <= deviation + 1e-9 for one in logs))


@given(NORMS)
def test_the_count_near_the_mean_is_that_of_its_definition(norms: np.ndarray) -> None:
    assert count_near_the_mean(norms) == naive_count(norms.tolist())


@given(NORMS, st.sampled_from([0.25, 8.0, 1024.0]), st.randoms(), st.integers(0, 5))
def test_the_count_depends_on_neither_unit_nor_order_nor_vanishing_gradients(
    norms: np.ndarray, unit: float, shuffler: Any, zeros: int
) -> None:
    logs = np.log(norms)
    distance = np.abs(np.abs(logs - logs.mean()) - logs.std())
    if (distance > 1e-8).all() or np.ptp(norms) == 0:  # A norm that stands on the border may fall to either side.
        changed = [*(unit * norms).tolist(), *[0.0] * zeros]
        shuffler.shuffle(changed)
        assert count_near_the_mean(np.array(changed)) == count_near_the_mean(norms)


@pytest.mark.parametrize("norm", [0.1, 3.0, 1e-30])
def test_equal_norms_all_count(norm: float) -> None:
    assert count_near_the_mean(np.full(1001, norm)) == 1001


@pytest.mark.parametrize("name", ["grads", "grads_density", "grand", "moderate_gradient"])
def test_a_layer_is_listed_once(name: str) -> None:
    with pytest.raises(GradsError, match="a layer that is listed twice would count twice"):
        parse_parameters(find_method(name), {"layers": ["head", "head"]})


def test_the_highest_are_those_allowed_with_ties_by_position() -> None:
    score, allowed = np.array([1.0, 3.0, 2.0, 3.0, 2.0]), np.array([True, False, True, True, True])
    assert highest(score, allowed, 3).tolist() == [3, 2, 4]
    assert highest(score, allowed, 9).tolist() == [3, 2, 4, 0]
    assert highest(score, ~allowed, 0).tolist() == []


def test_lengths_are_those_of_answers_prompts_or_both() -> None:
    pool = pd.DataFrame({"prompt_tokens": [3, 5], "response_tokens": [10, 2]})
    found = {field: lengths(pool, field).tolist() for field in get_args(LengthField)}
    assert found == {"response": [10, 2], "prompt": [3, 5], "whole": [13, 7]}


@given(NORMS, st.integers(0, 4))
def test_logarithms_are_those_of_numpy_and_zeros_are_the_smallest(norms: np.ndarray, zeros: int) -> None:
    found = logarithms(np.concatenate([norms, np.zeros(zeros)]))
    np.testing.assert_array_equal(found[: len(norms)], np.log(norms))
    assert (found[len(norms) :] == np.log(norms.min())).all()


def test_logarithms_of_nothing_but_zeros_and_of_no_number() -> None:
    assert logarithms(np.zeros(3)).tolist() == [0.0] * 3
    assert np.isnan(logarithms(np.array([1.0, np.nan]))[1])


def test_count_to_the_mean_by_hand() -> None:
    # Means 2.5 and 2; what rises again after a fall is not counted.
    assert count_to_the_mean(np.array([4.0, 3.0, 2.0, 1.0])) == 2
    assert count_to_the_mean(np.array([3.0, 1.0, 3.0, 1.0])) == 1
    assert count_to_the_mean(np.array([0.1] * 3)) == 3
