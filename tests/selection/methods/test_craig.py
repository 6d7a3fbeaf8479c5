"""CRAIG by hand, against the plain greedy algorithm and against the best there is."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from grads.selection.algorithms.facility_location import FacilityLocation, similarities
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.craig import METHOD, Craig
from grads.signals.vectors import Vectors, split_lengths


def choose(points: Any, count: int, seed: int = 0, **parameters: Any) -> Choice:
    points = np.asarray(points, dtype=np.float32)
    tokens = pd.DataFrame({"id": [f"{value:04x}" for value in range(len(points))]})
    features = {"warm": {"sgd_features": Vectors(*split_lengths(points))}}
    return METHOD.select(Inputs({"tokens": tokens}, features, {}, count, seed), Craig(**parameters))


def chosen(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


def objective(similarity: np.ndarray, subset: Any) -> float:
    return float(similarity[:, list(subset)].max(axis=1).sum())


def test_points_on_a_line_by_hand() -> None:
    # c = 10. Alone, 2 is worth 8 + 9 + 10 + 9 + 2 = 38, the most. After 2, 10 adds 8, 0 adds 2, 1 adds 1 + 1 and
    # 3 adds 1 + 1. After both, 0 and 1 still add 2, and 3 adds 1: so 0 is next, by its id.
    points = [[0.0], [1.0], [2.0], [3.0], [10.0]]
    choice = choose(points, 2)
    assert chosen(choice) == [2, 4]
    np.testing.assert_allclose(choice.score, np.array([2, 2, 38, 1, 8]) / 38, atol=1e-3)
    assert choice.weights is not None
    assert choice.weights.tolist() == [0, 0, 4, 0, 1]
    assert choice.notes["share_of_largest_objective"] == pytest.approx(46 / 50, abs=1e-3)
    assert chosen(choose(points, 3))[2] == 0


def test_similarities_are_the_largest_distance_less_the_distance() -> None:
    points = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    points[9] = points[4]
    distances = cdist(points, points)
    np.testing.assert_allclose(similarities(points), distances.max() - distances, atol=1e-4)
    assert similarities(points)[9, 4] == similarities(points)[4, 4]


def plain_greedy(similarity: np.ndarray, count: int) -> list[int]:
    order: list[int] = []
    while len(order) < count:
        rest = [record for record in range(len(similarity)) if record not in order]
        order.append(max(rest, key=lambda record: (round(objective(similarity, [*order, record]), 4), -record)))
    return order


@pytest.mark.parametrize("size", [1, 12, 60])
def test_lazy_choice_is_that_of_the_plain_algorithm(size: int) -> None:
    points = np.random.default_rng(size).normal(size=(size, 5)).astype(np.float32)
    similarity = similarities(np.asarray(Vectors(*split_lengths(points)))).astype(float)
    count = math.ceil(size / 2)
    choice = choose(points, count)
    order = plain_greedy(similarity, count)
    assert chosen(choice) == order
    rest = np.setdiff1d(np.arange(size), order)
    gains = [objective(similarity, [*order, record]) - objective(similarity, order) for record in rest]
    best_alone = max(objective(similarity, [record]) for record in range(size)) or 1.0
    np.testing.assert_allclose(choice.score[rest], np.array(gains) / best_alone, atol=1e-5)
    assert choice.weights is not None
    assert choice.weights.sum() == size
    assert choice.weights[order].tolist() == np.bincount(similarity[:, order].argmax(axis=1), minlength=count).tolist()


@pytest.mark.parametrize(("size", "count"), [(40, 8), (60, 3)])
def test_squared_distances_are_those_of_the_greedy_algorithm_on_them(size: int, count: int) -> None:
    points = np.random.default_rng(size).normal(size=(size, 5)).astype(np.float32)
    squares = cdist(points, points, "sqeuclidean")
    np.testing.assert_allclose(similarities(points, squares=True), squares.max() - squares, atol=1e-4)
    similarity = squares.max() - squares
    choice = choose(points, count, distance="squared")
    assert chosen(choice) == plain_greedy(similarity, count)
    assert choice.weights is not None
    nearest = similarity[:, chosen(choice)].argmax(axis=1)
    assert choice.weights[chosen(choice)].tolist() == np.bincount(nearest, minlength=count).tolist()


def test_squares_make_another_choice_where_some_records_lie_far() -> None:
    # Sums of distances are 16, 13, 12, 13 and 34, of their squares 114, 87, 70, 63 and 294: the least is worth most.
    points = [[0.0], [1.0], [2.0], [3.0], [10.0]]
    assert chosen(choose(points, 1)) == [2]
    assert chosen(choose(points, 1, distance="squared")) == [3]


def test_objective_is_within_the_bound_of_the_best() -> None:
    for seed in range(5):
        points = np.random.default_rng(seed).normal(size=(11, 3)).astype(np.float32)
        similarity = similarities(points).astype(float)
        best = max(objective(similarity, subset) for subset in combinations(range(11), 3))
        assert objective(similarity, chosen(choose(points, 3))) >= (1 - 1 / math.e) * best


def test_draws_lose_little_and_repeat_with_their_seed() -> None:
    points = np.random.default_rng(7).normal(size=(400, 8))
    exact = choose(points, 40)
    drawn = choose(points, 40, seed=3, approximate=True)
    assert chosen(drawn) == chosen(choose(points, 40, seed=3, approximate=True))
    assert chosen(drawn) != chosen(choose(points, 40, seed=4, approximate=True))
    name = "share_of_largest_objective"
    assert exact.notes[name] >= drawn.notes[name] >= 0.97 * exact.notes[name]


def test_a_draw_of_all_is_the_exact_choice() -> None:
    points = np.random.default_rng(8).normal(size=(30, 4)).astype(np.float32)
    exact, drawn = FacilityLocation(similarities(points)), FacilityLocation(similarities(points))
    order = drawn.choose(15, np.random.default_rng(0), epsilon=1e-30)
    assert order.tolist() == exact.choose(15, None, 0.01).tolist()
    np.testing.assert_allclose(drawn.gain, exact.gain, atol=1e-7)


def test_parts_give_their_shares_and_stand_for_themselves() -> None:
    points = np.random.default_rng(9).normal(size=(90, 6))
    choice = choose(points, 30, partitions=3)
    assert choice.notes["partitions"] == 3
    assert len(set(chosen(choice))) == 30
    assert choice.weights is not None
    assert choice.weights.sum() == 90
    assert chosen(choice) != chosen(choose(points, 30))
    whole = similarities(np.asarray(points, dtype=np.float32)).astype(float)
    share = objective(whole, chosen(choice)) / objective(whole, chosen(choose(points, 30)))
    assert 0.95 < share <= 1.0


def test_equal_gradients_are_chosen_by_id() -> None:
    choice = choose(np.ones((5, 3)), 3)
    assert chosen(choice) == [0, 1, 2]
    assert choice.weights is not None
    assert choice.weights.tolist() == [5, 0, 0, 0, 0]
