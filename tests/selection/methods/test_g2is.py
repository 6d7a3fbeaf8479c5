"""G2IS by hand, against the plain form of the authors' walk, and its components against scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from grads.runtime.errors import GradsError
from grads.selection.algorithms.neighbours import unit_rows
from grads.selection.contract import Inputs
from grads.selection.methods.g2is import METHOD, G2is, budgets, core_directions

Make = Callable[..., Inputs]


def made(inputs_of: Make, train: Any, validation: Any, count: int) -> Inputs:
    return inputs_of({"warm": {"adam_features": train}, "warm-validation": {"sgd_features": validation}}, count)


def order(inputs: Inputs, **parameters: Any) -> list[int]:
    found = METHOD.select(inputs, G2is(**parameters)).order
    assert found is not None
    return found.tolist()


def at(*degrees: float) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


# Uncentred, the one component that explains half of these is (1, 0), since they lie evenly about it.
ALONG = at(-20, 0, 20)


def test_a_walk_by_hand(inputs_of: Make) -> None:
    # The anchor is the record at 4 degrees. Its nearest are 10, 25, -30, 95; that at 184 conflicts with it.
    train = at(95, 184, 25, 4, -30, 10)
    walked = METHOD.select(made(inputs_of, train, ALONG, 6), G2is(centred=False))
    # 4, 10, then 25 by its nearness to 10. Sum at about 13 degrees: next to 25 is -30 (55 degrees), for 95 conflicts
    # with 4. Nobody is left then.
    assert walked.order is not None
    assert walked.order.tolist() == [3, 5, 2, 4]
    assert walked.notes == {
        "component_weights": [1.0],
        "component_budgets": [6],
        "component_records": [4],
        "steps_beyond_neighbours": 0,
    }
    np.testing.assert_allclose(walked.score, np.cos(np.radians([95, 184, 25, 4, -30, 10])), atol=1e-3)
    assert order(made(inputs_of, train, ALONG, 2), centred=False) == [3, 5]


def test_the_direction_is_kept(inputs_of: Make) -> None:
    # From 0: 50 is nearest; the sum is at 25 with cosine 0.91. 85 then takes the sum to about 45 (cosine 0.71), less
    # than 0.8 x 0.91 = 0.725, but more than 0.7 of it.
    train = at(0, 50, 85)
    assert order(made(inputs_of, train, ALONG, 3), centred=False) == [0, 1]
    assert order(made(inputs_of, train, ALONG, 3), centred=False, consistency=0.7) == [0, 1, 2]


def test_beyond_the_neighbours_the_nearest_to_the_component_follows(inputs_of: Make) -> None:
    # The one neighbour of 10 is 14 and conversely, so that after both the walk begins again: not with 20, the next
    # to 14, but with -12, the next to the component.
    train = at(10, 14, 20, -12)
    assert order(made(inputs_of, train, ALONG, 4), centred=False) == [0, 1, 2, 3]
    choice = METHOD.select(made(inputs_of, train, ALONG, 4), G2is(centred=False, neighbours=1))
    assert choice.order is not None
    assert choice.order.tolist() == [0, 1, 3, 2]
    assert choice.notes["steps_beyond_neighbours"] == 2


def plain_walk(
    train: np.ndarray, components: np.ndarray, weights: np.ndarray, count: int, neighbours: int, keep: float
) -> list[int]:
    """Return what the walk chooses, by loops over candidates."""
    everyone, selected = range(len(train)), []
    graph = [
        sorted((j for j in everyone if j != i), key=lambda j: (-round(float(train[i] @ train[j]), 6), j))[:neighbours]
        for i in everyone
    ]
    for component, budget in zip(components, budgets(weights, count), strict=True):
        near = sorted(everyone, key=lambda j: (-round(float(train[j] @ component), 6), j))
        current: list[int] = []
        while len(current) < budget:
            total = train[current].sum(axis=0)
            for j in [*(graph[current[-1]] if current else []), *near]:
                if j in selected:
                    continue
                with_j = total + train[j]
                old = abs(total @ component) / np.linalg.norm(total) if current else 0.0
                new = abs(with_j @ component) / np.linalg.norm(with_j)
                if (np.round(train[current] @ train[j], 6) >= 0).all() and new >= keep * old - 1e-9:
                    current.append(j)
                    selected.append(j)
                    break
            else:
                break
    return selected


@pytest.mark.parametrize("neighbours", [None, 1, 4, 30])
@pytest.mark.parametrize(("count", "shift"), [(40, 0.0), (40, 1.0), (12, 0.3), (1, 1.0)])
@pytest.mark.parametrize("mode", [{}, {"centred": False}, {"components": "count_ratio", "consistency": 0.95}])
def test_walks_equal_the_plain_form(
    mode: dict[str, Any], count: int, shift: float, neighbours: int | None, inputs_of: Make
) -> None:
    random = np.random.default_rng(count)
    train, validation = random.normal(size=(40, 5)) + shift, random.normal(size=(9, 5)) + shift
    inputs = made(inputs_of, train, validation, count)
    parameters = G2is(neighbours=neighbours, **mode)
    gradients = unit_rows(np.asarray(inputs.features["warm-validation"]["sgd_features"], dtype=float))
    components, weights = core_directions(gradients, parameters)
    directions = unit_rows(np.asarray(inputs.features["warm"]["adam_features"], dtype=float))
    expected = plain_walk(directions, components, weights, count, neighbours or 39, parameters.consistency)
    found = METHOD.select(inputs, parameters)
    assert found.order is not None
    assert found.order.tolist() == expected
    assert sum(found.notes["component_records"]) == len(expected)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_components_are_those_of_scikit_learn(share: float) -> None:
    gradients = np.random.default_rng(0).normal(size=(12, 20)) + 0.5
    expected = PCA(n_components=share, svd_solver="full").fit(gradients)
    components, weights = core_directions(gradients, G2is(share=share))
    assert len(components) == expected.n_components_
    np.testing.assert_allclose(np.abs(np.sum(components * expected.components_, axis=1)), 1)
    ratios = expected.explained_variance_ratio_
    np.testing.assert_allclose(weights, ratios / ratios.sum())
    assert (components @ gradients.mean(axis=0) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_sides_may_be_those_of_scikit_learn(seed: int) -> None:
    gradients = np.random.default_rng(seed).normal(size=(12, 20)) - 0.5
    fitted = PCA(n_components=0.9, svd_solver="full").fit(gradients).components_
    components, weights = core_directions(gradients, G2is(share=0.9, sides="pca"))
    np.testing.assert_allclose(components, fitted, atol=1e-9)
    assert (components[np.arange(len(components)), np.abs(components).argmax(axis=1)] > 0).all()
    toward_mean, same = core_directions(gradients, G2is(share=0.9))
    assert same.tolist() == weights.tolist()
    np.testing.assert_allclose(np.abs((toward_mean * components).sum(axis=1)), 1)
    assert (toward_mean @ gradients.mean(axis=0) > 0).all()


def test_sides_decide_where_a_walk_begins(inputs_of: Make) -> None:
    # The one component lies along (1, 0.1); the mean points to its negative side, and so do two of the records.
    validation = np.array([[-3.0, -0.3], [-1.0, -0.1], [-2.0, -0.2]])
    train = at(6, 186, 176)
    assert order(made(inputs_of, train, validation, 1), centred=False) == [1]
    assert order(made(inputs_of, train, validation, 1), centred=False, sides="pca") == [0]


def test_a_share_of_the_components() -> None:
    gradients = np.random.default_rng(0).normal(size=(6, 20))
    # Five vary about their mean; six as they are.
    assert len(core_directions(gradients, G2is(components="count_ratio"))[0]) == 2
    assert len(core_directions(gradients, G2is(components="count_ratio", centred=False))[0]) == 3
    assert len(core_directions(gradients, G2is(components="count_ratio", share=0.01))[0]) == 1
    assert len(core_directions(gradients, G2is(share=1.0))[0]) == 5


def test_the_mean_is_a_direction_where_nothing_is_taken_away() -> None:
    gradients = np.array([[1.0, 0.1], [1.0, -0.1]])
    components, weights = core_directions(gradients, G2is(centred=False))
    np.testing.assert_allclose(components, [[1, 0]], atol=1e-9)
    assert weights.tolist() == [1.0]
    # The mean says nothing of the other one's side: its largest entry is positive.
    np.testing.assert_allclose(core_directions(gradients, G2is())[0], [[0, 1]], atol=1e-9)


@pytest.mark.parametrize("count", [1, 5])
def test_gradients_that_are_alike_have_no_components(count: int, inputs_of: Make) -> None:
    validation = np.tile([3.0, 4.0], (count, 1))
    with pytest.raises(GradsError, match=f"no direction in the gradients of {count} validation records, .*'centred'"):
        METHOD.select(made(inputs_of, at(0, 10), validation, 1), G2is())
    assert order(made(inputs_of, at(0, 50), validation, 1), centred=False) == [1]


@pytest.mark.parametrize(
    ("weights", "count", "expected"),
    [
        ([1.0], 5, [5]),
        ([0.5, 0.3, 0.2], 10, [5, 3, 2]),
        ([0.5, 0.25, 0.25], 3, [1, 1, 1]),
        ([0.4, 0.35, 0.25], 2, [1, 1, 0]),
        ([1 / 3] * 3, 4, [2, 1, 1]),
    ],
)
def test_budgets_go_to_the_largest_remainders(weights: list[float], count: int, expected: list[int]) -> None:
    assert budgets(np.array(weights), count) == expected


def test_records_without_gradient_break_nothing(inputs_of: Make) -> None:
    train = np.vstack([at(0, 10), np.zeros((1, 2))])
    assert order(made(inputs_of, train, ALONG, 3), centred=False) == [0, 1, 2]
