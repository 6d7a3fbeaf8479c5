"""Diversity of a set: its measures from their definitions, and the greedy choice against the plain loop."""

import numpy as np
import pytest

from grads.selection.algorithms.spread import RIDGE, LogDeterminant, MeanDistance, Uncertainty, spread_greedy


def unit(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_variances_are_those_of_the_normal_equations() -> None:
    rows = 3 * unit(20, 4)
    uncertainty = Uncertainty(rows, ridge=0.5)
    np.testing.assert_allclose(uncertainty.variance, 9.0)
    taken = [3, 7, 3, 11]
    for row in taken:
        uncertainty.take(row)
    covariance = np.linalg.inv(np.eye(4) + rows[taken].T @ rows[taken] / 0.5)
    np.testing.assert_allclose(uncertainty.variance, np.einsum("ij,jk,ik->i", rows, covariance, rows))


def test_gains_of_the_determinant_add_up_to_it() -> None:
    rows = unit(12, 5)
    spread = LogDeterminant(rows)
    total = 0.0
    for record in (4, 0, 9, 2):
        total += spread.gains()[record]
        spread.take(record, rows @ rows[record])
    chosen = rows[[4, 0, 9, 2]]
    _, determinant = np.linalg.slogdet(np.eye(4) + chosen @ chosen.T / RIDGE)
    assert total * np.log1p(1 / RIDGE) == pytest.approx(determinant, abs=1e-5)


def test_a_record_unlike_all_others_adds_one_and_a_copy_little() -> None:
    rows = np.eye(3)[[0, 0, 1]]
    spread = LogDeterminant(rows)
    assert spread.gains().tolist() == [1, 1, 1]
    spread.take(0, rows @ rows[0])
    # What is left of the variance is ridge / (1 + ridge).
    np.testing.assert_allclose(spread.gains()[1:], [np.log1p(1 / 1.1) / np.log(11), 1], atol=1e-6)


def test_distances_by_hand() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    spread = MeanDistance(rows)
    # Cosines to all three, itself included: (1 + 0 - 1) / 3, (0 + 1 + 0) / 3, the same as the first.
    np.testing.assert_allclose(spread.gains(), [1, 2 / 3, 1], atol=1e-6)
    for record in (0, 2):
        spread.take(record, rows @ rows[record])
    np.testing.assert_allclose(spread.gains(), [1, 1, 1])


def value(measure: str, rows: np.ndarray, chosen: list[int]) -> float:
    """Return the diversity of a set, whose increments are the gains."""
    among = rows[chosen]
    return float(np.linalg.slogdet(np.eye(len(chosen)) + among @ among.T / RIDGE)[1] / np.log1p(1 / RIDGE))


@pytest.mark.parametrize("measure", ["mean_distance", "log_det"])
def test_choice_is_that_of_the_definition(measure: str) -> None:
    rows = unit(25, 4, seed=1)
    fixed = np.random.default_rng(2).uniform(size=25)
    chosen: list[int] = []
    for _ in range(12):

        def gain(record: int) -> float:
            if measure == "log_det":
                added = value(measure, rows, [*chosen, record]) - value(measure, rows, chosen)
            else:
                added = float(np.mean(1 - rows[record] @ rows[chosen if chosen else slice(None)].T))
            similar = max((float(rows[record] @ rows[other]) for other in chosen), default=0.0)
            return float(fixed[record] + 0.7 * added - 0.3 * similar)

        chosen.append(max((record for record in range(25) if record not in chosen), key=gain))
    score, order = spread_greedy(fixed, rows, measure, 0.7, 0.3, 12)  # type: ignore[arg-type]
    assert order.tolist() == chosen
    assert np.isfinite(score).all()
