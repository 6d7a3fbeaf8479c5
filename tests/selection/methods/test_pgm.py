"""PGM against GRAD-MATCH, and by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods import grad_match
from grads.selection.methods.grad_match import GradMatch
from grads.selection.methods.pgm import METHOD, Pgm, mini_batches
from grads.signals.vectors import Vectors, split_lengths


def made(points: Any, count: int, seed: int = 0) -> Inputs:
    pool = pd.DataFrame({"id": [f"{value:04x}" for value in range(len(points))]})
    features = {"warm": {"sgd_features": Vectors(*split_lengths(np.asarray(points, dtype=np.float32)))}}
    return Inputs({"tokens": pool}, features, {}, count, seed)


def order_of(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


@pytest.mark.parametrize("partitions", [1, 3])
def test_with_batches_of_one_a_part_is_matched_as_grad_match_does(partitions: int) -> None:
    points = np.random.default_rng(0).normal(size=(30, 8)) + np.eye(8)[0]
    # Of length 1, so that the units of parts and pool are one.
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    inputs = made(points, 9)
    found = METHOD.select(inputs, Pgm(batch=1, partitions=partitions))
    expected = grad_match.METHOD.select(inputs, GradMatch(partitions=partitions))
    assert set(order_of(found)) == set(order_of(expected))
    if partitions == 1:
        assert found.weights is not None
        assert expected.weights is not None
        np.testing.assert_allclose(found.weights, expected.weights, atol=1e-4)


def test_mini_batches_are_the_part_at_random() -> None:
    inputs = made(np.eye(11), 5)
    part = np.array([1, 3, 4, 6, 7, 9, 10])
    found = mini_batches(part, inputs, 3)
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert sorted(np.concatenate(found).tolist()) == part.tolist()
    assert np.concatenate(found).tolist() != part.tolist()
    other = mini_batches(part, made(np.eye(11), 5, seed=1), 3)
    assert np.concatenate(found).tolist() != np.concatenate(other).tolist()


def test_records_of_a_batch_are_kept_together_and_weigh_the_same() -> None:
    points = np.random.default_rng(1).normal(size=(24, 6)) + np.eye(6)[0]
    inputs = made(points, 6)
    choice = METHOD.select(inputs, Pgm(batch=3, partitions=1, fill=False))
    batches = mini_batches(np.arange(24), inputs, 3)
    kept = [batch for batch in batches if set(batch.tolist()) <= set(order_of(choice))]
    assert len(kept) * 3 == len(order_of(choice)) == 6
    assert choice.weights is not None
    for batch in kept:
        assert len(set(choice.weights[batch].tolist())) == 1
        assert choice.weights[batch[0]] > 0


def test_a_batch_that_is_too_large_is_cut_and_gaps_are_filled() -> None:
    points = np.random.default_rng(2).normal(size=(20, 5)) + np.eye(5)[0]
    choice = METHOD.select(made(points, 5), Pgm(batch=4, partitions=1))
    assert len(set(order_of(choice))) == 5
    opposite = METHOD.select(made([[1, 0], [-1, 0]] * 4, 4), Pgm(batch=2, partitions=2))
    assert len(set(order_of(opposite))) == 4


def test_it_is_the_method_that_is_named_where_there_is_nothing_to_match() -> None:
    inputs = made(np.eye(4), 2)
    inputs.features["warm-validation"] = {"sgd_features": Vectors(np.empty((0, 4)), np.empty(0))}  # type: ignore[index]
    with pytest.raises(GradsError, match="method 'pgm' has no validation record to match"):
        METHOD.select(inputs, Pgm(target="validation"))
