"""k-centre by hand, against brute force, and against the best there is."""

import tracemalloc
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.selection.contract import Choice, Inputs
from grads.selection.methods import kcenter
from grads.selection.methods.kcenter import METHOD, KCenter, Space
from grads.signals.vectors import Vectors, split_lengths


def choose(points: Any, count: int, distance: Any = "euclidean") -> Choice:
    points = np.asarray(points, dtype=np.float32)
    tokens = pd.DataFrame({"id": [f"{value:04x}" for value in range(len(points))]})
    vectors = Vectors(*split_lengths(points))
    inputs = Inputs({"tokens": tokens}, {"base": {"hidden": vectors}}, {}, count, 0)
    return METHOD.select(inputs, KCenter(distance=distance))


def chosen(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


def test_points_on_a_line_by_hand() -> None:
    # The mean is 3.75, so 4 is first; then 10, at 6; then 0, at 4; then 1, at 1.
    choice = choose([[0.0], [1.0], [4.0], [10.0]], 3)
    assert chosen(choice) == [2, 3, 0]
    np.testing.assert_allclose(choice.score, [4.0, 1.0, 6.0, 6.0], rtol=1e-3)
    assert choice.notes["largest_distance_to_a_centre"] == pytest.approx(1.0, rel=1e-3)


def test_directions_by_hand() -> None:
    # Unit mean direction lies between 0 and 30 degrees, nearest to 30; then the opposite, then 90, then 0 degrees.
    degrees = np.deg2rad([0.0, 30.0, 90.0, -150.0])
    choice = choose(np.stack([np.cos(degrees), np.sin(degrees)], axis=1) * [[1], [5], [2], [0.1]], 4, "cosine")
    assert chosen(choice)[0] in (0, 1)
    assert 3 in chosen(choice)[:2]
    first = choice.score[chosen(choice)[0]]
    assert first == choice.score[chosen(choice)[1]]


def farthest_first(distances: np.ndarray, first: int, count: int) -> list[int]:
    order = [first]
    while len(order) < count:
        nearest = np.round(distances[:, order].min(axis=1), 5)
        nearest[order] = -1
        order.append(int(np.argmax(nearest)))
    return order


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_choice_equals_brute_force(distance: str) -> None:
    points = np.random.default_rng(2).normal(size=(70, 6)).astype(np.float32)
    choice = choose(points, 40, distance)
    known = np.asarray(Vectors(*split_lengths(points)), dtype=float)
    if distance == "cosine":
        known /= np.linalg.norm(known, axis=1, keepdims=True)
        distances, first = 1 - known @ known.T, int(np.argmax(known @ known.mean(axis=0)))
    else:
        distances = np.linalg.norm(known[:, None] - known[None], axis=2)
        first = int(np.argmin(np.linalg.norm(known - known.mean(axis=0), axis=1)))
    order = farthest_first(distances, first, 40)
    assert chosen(choice) == order
    rest = np.setdiff1d(np.arange(70), order)
    np.testing.assert_allclose(choice.score[rest], distances[rest][:, order].min(axis=1), atol=1e-4)
    assert (np.diff(choice.score[order]) <= 1e-6).all(), "centres come closer and closer"


def test_largest_distance_is_at_most_twice_the_least_possible() -> None:
    for seed in range(5):
        points = np.random.default_rng(seed).normal(size=(12, 2))
        distances = np.linalg.norm(points[:, None] - points[None], axis=2)
        best = min(distances[:, list(centres)].min(axis=1).max() for centres in combinations(range(12), 3))
        reached = choose(points, 3).notes["largest_distance_to_a_centre"]
        assert best * (1 - 1e-3) <= reached <= 2 * best * (1 + 1e-3)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_scale_and_duplicates_do_not_matter(distance: str) -> None:
    points = np.random.default_rng(3).normal(size=(30, 4)).astype(np.float32)
    order = chosen(choose(points, 10, distance))
    assert chosen(choose(points * 1024, 10, distance)) == order
    assert not set(chosen(choose(np.concatenate([points, points]), 29, distance))) & set(range(30, 60))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_records_of_zeros_and_a_single_record(distance: str) -> None:
    choice = choose(np.zeros((4, 3)), 3, distance)
    assert len(set(chosen(choice))) == 3
    assert np.isfinite(choice.score).all()
    assert chosen(choose([[2.0, 1.0]], 1, distance)) == [0]


def test_an_encoder_may_embed(stores_of: Callable[..., Any]) -> None:
    assert METHOD.needs(KCenter()).stores == {"base": {"hidden"}}
    assert METHOD.needs(KCenter(encoder="minilm")).stores == {"encoder-minilm": {"sentences"}}


def test_products_in_double_precision_hold_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 200)).astype(np.float32)
    column = np.random.default_rng(1).normal(size=200)
    monkeypatch.setattr(kcenter, "CHUNK", 20_000)
    tracemalloc.start()
    found = Space(np.ones(5000), rows, rows).toward(column)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(found, rows.astype(float) @ column)
    assert peak < rows.nbytes
