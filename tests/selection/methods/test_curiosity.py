"""Curiosity by hand, and against the normal equations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grads.selection.contract import Choice, Inputs
from grads.selection.methods.curiosity import METHOD, Curiosity

Make = Callable[..., Inputs]


def choose(inputs_of: Make, points: Any, count: int, **parameters: Any) -> Choice:
    return METHOD.select(inputs_of({"base": {"hidden": points}}, count), Curiosity(**parameters))


def test_four_records_by_hand(inputs_of: Make) -> None:
    # The mean is (1, 1), the rest (2, 0), (-2, 0), (0, 1), (0, -1), of root mean square length sqrt(10 / 4): variances
    # 1.6, 1.6, 0.4, 0.4. After the first, with noise 0.4, its axis keeps 1.6 * 0.4 / 2, the other axis is as it was.
    choice = choose(inputs_of, [[3, 1], [-1, 1], [1, 2], [1, 0]], 2, noise=0.4)
    assert choice.order is not None
    assert choice.order.tolist() == [0, 2]
    np.testing.assert_allclose(np.square(choice.score), [1.6, 0.32, 0.4, 0.2], atol=2e-3)
    assert choice.notes["largest_uncertainty_left"] == pytest.approx(0.32**0.5, abs=2e-3)


def test_choice_is_that_of_the_normal_equations(inputs_of: Make) -> None:
    points = np.random.default_rng(0).normal(size=(30, 5))
    choice = choose(inputs_of, points, 12)
    centred = points - points.mean(axis=0)
    centred /= np.sqrt(np.square(centred).sum() / 30)
    taken: list[int] = []
    for _ in range(12):
        covariance = np.linalg.inv(np.eye(5) + centred[taken].T @ centred[taken] / 0.1)
        variance = np.einsum("ij,jk,ik->i", centred, covariance, centred)
        taken.append(max((row for row in range(30) if row not in taken), key=lambda row: variance[row]))
    assert choice.order is not None
    assert choice.order.tolist() == taken


@pytest.mark.parametrize("change", [lambda points: 1000 * points, lambda points: points + 5])
def test_scale_and_origin_do_not_matter(inputs_of: Make, change: Callable[[Any], Any]) -> None:
    points = np.random.default_rng(1).integers(-8, 9, size=(20, 3)).astype(float)
    plain = choose(inputs_of, points, 8)
    changed = choose(inputs_of, change(points), 8)
    assert plain.order is not None
    assert changed.order is not None
    assert set(plain.order.tolist()) == set(changed.order.tolist())


def test_records_that_are_all_alike_are_not_curious(inputs_of: Make) -> None:
    choice = choose(inputs_of, [[0.3, 0.7]] * 5, 3)
    assert choice.order is not None
    assert choice.order.tolist() == [0, 1, 2]
    assert choice.score.tolist() == [0] * 5
