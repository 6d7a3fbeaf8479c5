"""Lazy greedy choice against the plain loop."""

import numpy as np
import pytest

from grads.selection.algorithms import greedy
from grads.selection.algorithms.greedy import lazy_greedy


def plain(
    fixed: np.ndarray, rows: np.ndarray, columns: np.ndarray, weight: float, count: int, first: int | None = None
) -> tuple[np.ndarray, list[int]]:
    """Return scores and order from the definition, every score renewed after every choice."""
    similarity = np.round(rows @ columns.T, 6)
    score, order = fixed.astype(float), []
    for _ in range(count):
        open_ = [record for record in range(len(fixed)) if record not in order]
        order.append(first if first is not None and not order else max(open_, key=lambda record: score[record]))
        for record in set(open_) - {order[-1]}:
            score[record] = fixed[record] - weight * max(similarity[record, other] for other in order)
    return score, order


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("count", [1, 20, 90])
def test_choice_is_that_of_the_plain_loop(
    weight: float, count: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "BATCH", batch)
    monkeypatch.setattr(greedy, "CHUNK", 50)
    random = np.random.default_rng(count)
    rows = random.normal(size=(90, 4)) / 2
    fixed = random.uniform(size=90)
    score, order = lazy_greedy(fixed, rows, rows, weight, count)
    expected_score, expected = plain(fixed, rows, rows, weight, count)
    assert order.tolist() == expected
    np.testing.assert_allclose(score, expected_score, atol=1.5e-6 * max(1.0, weight))


def test_rows_and_columns_may_differ_and_the_first_be_given() -> None:
    random = np.random.default_rng(0)
    rows, columns = random.normal(size=(40, 3)), random.normal(size=(40, 3))
    fixed = random.uniform(size=40)
    for first in (None, 7):
        score, order = lazy_greedy(fixed, rows, columns, 0.5, 12, first)
        expected_score, expected = plain(fixed, rows, columns, 0.5, 12, first)
        assert order.tolist() == expected
        np.testing.assert_allclose(score, expected_score, atol=1e-6)


def test_equal_scores_go_by_position_however_old_they_are() -> None:
    rows = np.eye(8)[[0, 0, 1, 1, 2, 2, 3, 3]]
    _, order = lazy_greedy(np.ones(8), rows, rows, 1.0, 8)
    assert order.tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_duplicates_are_chosen_last() -> None:
    directions = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    _, order = lazy_greedy(np.array([1.0, 0.99, 0.6]), directions, directions, weight=0.5, count=3)
    assert order.tolist() == [0, 2, 1]


def test_rounding_does_not_decide_between_equals() -> None:
    directions = np.array([[1.0, 0.0], [0.6 + 1e-9, 0.8], [0.6, 0.8]])
    _, order = lazy_greedy(np.array([1.0, 0.5, 0.5]), directions, directions, weight=0.5, count=2)
    assert order.tolist() == [0, 1]


def test_a_bound_above_saves_the_look_at_others() -> None:
    class Counting(greedy.Lazy):
        looked = 0

        def refresh(self, records: np.ndarray, step: int) -> None:
            self.looked += len(records)
            super().refresh(records, step)

    fixed = np.linspace(1.0, 0.0, 1000)
    rows = np.random.default_rng(0).normal(size=(1000, 50))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    state = Counting(fixed, rows, rows, 0.05, 50)
    state.take(0, 0)
    for step in range(1, 50):
        state.take(step, state.best(step))
    assert state.looked < 1000 + 50 * 150, "not the 50 x 1000 looks of the plain loop"
