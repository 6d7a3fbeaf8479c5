"""GRAD-MATCH by hand, and against its algorithm written down as it is published."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from grads.runtime.errors import GradsError
from grads.selection.algorithms import ridge as module
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.grad_match import METHOD, GradMatch, Pursuit
from grads.selection.registry import parse_parameters
from grads.signals.vectors import Vectors, split_lengths
from grads.study.seeds import own_seed, shuffled_ids


def choose(points: Any, count: int, seed: int = 0, validation: Any = None, **parameters: Any) -> Choice:
    ids = [f"{value:04x}" for value in range(len(points))]
    features = {"warm": {"sgd_features": Vectors(*split_lengths(np.asarray(points, dtype=np.float32)))}}
    if validation is not None:
        vectors = Vectors(*split_lengths(np.asarray(validation, dtype=np.float32)))
        features["warm-validation"] = {"sgd_features": vectors}
    inputs = Inputs({"tokens": pd.DataFrame({"id": ids})}, features, {}, count, seed)
    return METHOD.select(inputs, GradMatch(**parameters))


def chosen(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


def test_three_gradients_by_hand() -> None:
    # Lengths 1, so the unit is 1. b = (2, 1): record 0 goes best with it (2, before record 1's 2, and 1), and gets the
    # weight 2 / (1 + 0.5) = 4/3; the residual is (2/3, 1). Record 2 goes best with it (1), and gets 1 / 1.5 = 2/3, as
    # the two are orthogonal: what is left is (2/3, 1/3).
    choice = choose([[1, 0], [1, 0], [0, 1]], 2)
    assert chosen(choice) == [0, 2]
    assert choice.weights is not None
    np.testing.assert_allclose(choice.weights, [4 / 3, 0, 2 / 3], atol=1e-6)
    np.testing.assert_allclose(choice.score * np.sqrt(5), [2, 2 / 3, 1], atol=1e-6)
    assert choice.notes["residual"] == pytest.approx(np.hypot(2 / 3, 1 / 3) / np.sqrt(5), abs=1e-6)


def published(gradients: np.ndarray, target: np.ndarray, count: int, ridge: float) -> tuple[list[int], np.ndarray]:
    """Return the records taken and their weights: the published loop, each fit by normal equations of its own."""
    active: list[int] = []
    weights = np.zeros(0)
    residual = target
    for _ in range(2 * count):
        products = gradients @ residual
        products[active] = 0.0
        if len(active) == count or products.max() <= 0:
            break
        active.append(int(np.argmax(products)))
        while True:
            taken = gradients[active]
            weights = np.linalg.solve(taken @ taken.T + ridge * np.eye(len(active)), taken @ target)
            if weights.min() >= 0:
                break
            del active[int(np.argmin(weights))]
        residual = target - weights @ gradients[active]
    return active, weights


@pytest.mark.parametrize("ridge", [0.5, 0.01, 20.0])
@pytest.mark.parametrize(("size", "dimensions", "count"), [(60, 40, 20), (80, 10, 40), (30, 3, 30), (50, 200, 50)])
def test_pursuit_is_the_published_loop(
    size: int, dimensions: int, count: int, ridge: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UPDATES", 7)
    monkeypatch.setattr(module, "BLOCK", 100)
    random = np.random.default_rng(size)
    gradients = random.normal(size=(size, dimensions)).astype(np.float32) / np.float32(np.sqrt(dimensions))
    target = gradients.sum(axis=0, dtype=float) + random.normal(size=dimensions)
    pursuit = Pursuit(gradients, target, ridge, count)
    pursuit.run(1e-100)
    active, weights = published(gradients.astype(float), target, count, ridge)
    assert pursuit.active == active
    np.testing.assert_allclose(pursuit.weights[active], weights, rtol=1e-4, atol=1e-6)
    left = target - weights @ gradients[active].astype(float)
    assert pursuit.residual == pytest.approx(np.linalg.norm(left) / np.linalg.norm(target), rel=1e-5)
    rest = ~pursuit.taken
    np.testing.assert_allclose(pursuit.score[rest], gradients[rest] @ left / np.linalg.norm(target), atol=1e-5)


@pytest.mark.parametrize(("size", "dimensions", "count"), [(60, 40, 20), (50, 200, 30)])
def test_a_tiny_ridge_comes_to_the_fit_without_one(size: int, dimensions: int, count: int) -> None:
    """As the code has it on a CPU: lambda 0 and epsilon 1e-4."""
    random = np.random.default_rng(size)
    points = random.normal(size=(size, dimensions)) + 0.2
    choice = choose(points, count, ridge=1e-6, epsilon=1e-4, largest_weight=1e6)
    points = points.astype(np.float32).astype(float)
    active, weights = published(points, points.sum(axis=0), count, 0.0)
    assert chosen(choice)[: len(active)] == active
    assert choice.weights is not None
    np.testing.assert_allclose(choice.weights[active], weights, rtol=1e-2)


def test_a_record_is_taken_once_and_the_pursuit_goes_on() -> None:
    # Lambda keeps the weights short of the fit, so that the same record goes best with what is left, again.
    points = np.array([[1.0, 0.0], [0.6, 0.5], [0.0, 0.2]])
    gradients = points.astype(np.float32)
    pursuit = Pursuit(gradients, np.array([9.0, 2.0]), 20.0, 3)
    first = gradients @ (np.array([9.0, 2.0]) - 9 / 21 * points[0])
    assert int(np.argmax(first)) == 0, "the best is the one that is taken"
    pursuit.run(1e-100)
    assert sorted(pursuit.active) == [0, 1, 2]


def test_ridge_is_above_zero() -> None:
    with pytest.raises(GradsError, match="parameter 'ridge' of method 'grad_match' is 0: write a number above 0"):
        parse_parameters(METHOD, {"ridge": 0})


def test_long_gradients_take_no_square_of_their_length() -> None:
    gradients = np.random.default_rng(1).normal(size=(50, 5000)).astype(np.float32) / np.float32(np.sqrt(5000))
    target = gradients.sum(axis=0, dtype=float)
    tracemalloc.start()
    pursuit = Pursuit(gradients, target, 0.5, 30)
    pursuit.run(1e-100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6
    active, weights = published(gradients.astype(float), target, 30, 0.5)
    assert pursuit.active == active
    np.testing.assert_allclose(pursuit.weights[active], weights, rtol=1e-6)


def test_negative_weights_are_dropped_and_the_rest_is_the_best_fit() -> None:
    gradients = np.random.default_rng(4).normal(size=(40, 6)).astype(np.float32)
    target = gradients.sum(axis=0, dtype=float)
    pursuit = Pursuit(gradients, target, 0.5, 40)
    pursuit.run(1e-100)
    assert len(pursuit.active) < pursuit.fit.changes, "some were dropped"
    assert (pursuit.weights[pursuit.active] > 0).all()
    # Where no gradient goes with the residual any more, the conditions of the best non-negative fit are met.
    assert len(pursuit.active) < 40
    wide = np.concatenate([gradients.T.astype(float), np.sqrt(0.5) * np.eye(40)])
    weights, _ = nnls(wide, np.concatenate([target, np.zeros(40)]))
    np.testing.assert_allclose(pursuit.weights, weights, atol=1e-3)


def test_matching_beats_a_random_subset() -> None:
    points = np.random.default_rng(5).normal(size=(300, 30)) + 0.2
    choice = choose(points, 20, partitions=1)
    drawn = np.random.default_rng(0).permutation(300)[:20]
    left = points.sum(axis=0) - points[drawn].sum(axis=0) * 15
    assert choice.notes["residual"] < np.linalg.norm(left) / np.linalg.norm(points.sum(axis=0))
    assert choice.notes["matched"] == 20


def test_what_is_missing_is_filled_at_random_with_weight_one_or_left_out() -> None:
    points = np.random.default_rng(6).normal(size=(50, 8)) + 0.5
    choice = choose(points, 30, seed=9, epsilon=0.2)
    matched = choice.notes["matched"]
    assert 0 < matched < 30
    assert choice.notes["residual"] < 0.2
    filling = chosen(choice)[matched:]
    taken = {f"{value:04x}" for value in chosen(choice)[:matched]}
    drawn = shuffled_ids([f"{value:04x}" for value in range(50)], own_seed(9, "grad_match"))
    order = [id_ for id_ in drawn if id_ not in taken]
    assert [f"{value:04x}" for value in filling] == order[: 30 - matched]
    assert choice.weights is not None
    assert choice.weights[filling].tolist() == [1.0] * len(filling)
    assert chosen(choose(points, 30, fill=False, epsilon=0.2)) == chosen(choice)[:matched]


def test_validation_records_are_matched_instead() -> None:
    points = np.eye(4)
    choice = choose(points, 1, validation=[[0, 0, 3, 1], [0, 1, 3, 0]], target="validation")
    assert chosen(choice) == [2]
    parameters = parse_parameters(METHOD, {"target": "validation"})
    assert METHOD.needs(parameters).stores == {"warm": {"sgd_features"}, "warm-validation": {"sgd_features"}}
    assert METHOD.sees_target(parameters)
    assert not METHOD.sees_target(parse_parameters(METHOD, {}))
    with pytest.raises(GradsError, match="no validation record to match"):
        choose(points, 1, validation=np.empty((0, 4)), target="validation")


def test_scale_does_not_matter_and_large_weights_are_cut() -> None:
    points = np.random.default_rng(7).normal(size=(60, 8))
    first, second = choose(points, 10), choose(points * 1024, 10)
    assert chosen(first) == chosen(second)
    assert first.weights is not None
    assert second.weights is not None
    np.testing.assert_allclose(first.weights, second.weights, rtol=1e-5)
    cut = choose(points, 10, largest_weight=1.0)
    assert cut.weights is not None
    matched = chosen(first)[: first.notes["matched"]]
    np.testing.assert_allclose(cut.weights[matched], np.minimum(first.weights[matched], first.weights[matched].mean()))


def test_parts_match_their_own_sums() -> None:
    points = np.random.default_rng(8).normal(size=(90, 12)) + 0.5
    choice = choose(points, 12, partitions=3)
    assert choice.notes["partitions"] == 3
    assert len(set(chosen(choice))) == 12
    assert choice.weights is not None
    left = points.sum(axis=0) - choice.weights @ points
    assert np.linalg.norm(left) < 0.5 * np.linalg.norm(points.sum(axis=0))


def test_gradients_of_zero_are_filled_at_random() -> None:
    choice = choose(np.zeros((6, 3)), 4)
    assert choice.notes["matched"] == 0
    assert len(set(chosen(choice))) == 4


def test_equal_gradients_are_chosen_by_id() -> None:
    assert chosen(choose(np.ones((6, 3)), 4)) == [0, 1, 2, 3]
