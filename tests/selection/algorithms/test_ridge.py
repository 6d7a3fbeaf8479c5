"""Ridge regression that follows its rows, against the normal equations."""

import numpy as np
import pytest

from grads.selection.algorithms import ridge as module
from grads.selection.algorithms.ridge import ByDimensions, ByRows, Ridge, bordered, ridge_of

ROWS = np.random.default_rng(0).normal(size=(12, 9)).astype(np.float32)
TARGET = np.random.default_rng(1).normal(size=9)


@pytest.mark.parametrize("form", [ByDimensions, ByRows])
@pytest.mark.parametrize("updates", [2, 1000])
def test_weights_and_residual_are_those_of_the_rows_taken(
    form: type[Ridge], updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UPDATES", updates)
    monkeypatch.setattr(module, "BLOCK", 18)
    fit = form(ROWS, TARGET, 0.3)
    np.testing.assert_allclose(fit.residual(), TARGET)
    for step in (4, 7, 0, "drop 1", 7, 11, "drop 0", "drop 2", 3):
        if isinstance(step, int):
            fit.take(step)
        else:
            fit.drop(int(step[-1]))
        taken = ROWS[fit.active].astype(float)
        weights = np.linalg.solve(taken @ taken.T + 0.3 * np.eye(len(taken)), taken @ TARGET)
        np.testing.assert_allclose(fit.weights(), weights, atol=1e-12)
        np.testing.assert_allclose(fit.residual(), TARGET - weights @ taken, atol=1e-12)
    assert fit.active == [0, 7, 3]
    assert fit.changes == 9


@pytest.mark.parametrize("form", [ByDimensions, ByRows])
def test_all_that_was_taken_can_be_dropped(form: type[Ridge]) -> None:
    fit = form(ROWS, TARGET, 0.3)
    fit.take(5)
    fit.drop(0)
    assert fit.weights().tolist() == []
    np.testing.assert_allclose(fit.residual(), TARGET)


def test_the_smaller_inverse_is_kept() -> None:
    assert isinstance(ridge_of(ROWS, TARGET, 0.3, 8), ByRows)
    assert isinstance(ridge_of(ROWS, TARGET, 0.3, 9), ByDimensions)


def test_a_border_is_symmetric() -> None:
    assert bordered(np.zeros((0, 0)), np.zeros(0), 3.0).tolist() == [[3.0]]
    assert bordered(np.array([[1.0]]), np.array([2.0]), 3.0).tolist() == [[1.0, 2.0], [2.0, 3.0]]
