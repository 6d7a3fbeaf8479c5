"""RDS+ by hand and against the plain form of its rounds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from grads.selection.contract import Inputs
from grads.selection.methods import rds_plus
from grads.selection.methods.rds_plus import METHOD, RdsPlus

Make = Callable[..., Inputs]


def made(inputs_of: Make, train: Any, validation: Any, count: int) -> Inputs:
    return inputs_of({"base": {"weighted_hidden": train}, "base-validation": {"weighted_hidden": validation}}, count)


def order(inputs: Inputs, aggregate: str = "round_robin") -> list[int]:
    found = METHOD.select(inputs, RdsPlus(aggregate=aggregate)).order
    assert found is not None
    return found.tolist()


# Angles of five records and of two queries, in degrees.
TRAIN = [0, 12, 30, 55, 90]
QUERIES = [10, 20]


def at(degrees: list[int]) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_five_records_by_hand(inputs_of: Make) -> None:
    # The query at 10 has the order 12, 0, 30, 55, 90; that at 20: 12, 30, 0, 55, 90. Both want 12 first.
    inputs = made(inputs_of, at(TRAIN), at(QUERIES), 5)
    assert order(inputs) == [1, 2, 0, 3, 4]
    # In turn 1 the second passes; in turn 2 they take 0 and 30.
    assert order(inputs, "round_robin_pass") == [1, 0, 2, 3, 4]
    choice = METHOD.select(inputs, RdsPlus())
    np.testing.assert_allclose(choice.score, np.cos(np.radians([10, 2, 10, 35, 70])), atol=1e-3)
    mean = METHOD.select(inputs, RdsPlus(aggregate="mean"))
    assert mean.order is None
    np.testing.assert_allclose(mean.score, cosine_similarity(at(TRAIN), at(QUERIES)).mean(axis=1), atol=1e-3)


def brute_force(cosines: np.ndarray, count: int, passing: bool) -> list[int]:
    """Return positions taken in turns, straight from the definition; N x Q cosines."""
    wanted = [sorted(range(len(cosines)), key=lambda i: (-round(float(c[i]), 6), i)) for c in cosines.T]
    taken: list[int] = []
    while len(taken) < count:
        for query in wanted:
            while not passing and query and query[0] in taken:
                query.pop(0)
            if query and query[0] not in taken:
                taken.append(query[0])
            if query:
                query.pop(0)
    return taken[:count]


@pytest.mark.parametrize(("count", "queries"), [(1, 3), (17, 3), (60, 3), (17, 40), (17, 1)])
@pytest.mark.parametrize("passing", [False, True])
@pytest.mark.parametrize("listed", [1, 9, 2**27])
def test_rounds_equal_brute_force(
    listed: int, passing: bool, count: int, queries: int, inputs_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rds_plus, "LISTED", listed)
    monkeypatch.setattr(rds_plus, "CHUNK", 100)
    random = np.random.default_rng(count)
    # A mean that all share, so that queries want the same records.
    train, validation = random.normal(size=(60, 6)) + 1, random.normal(size=(queries, 6)) + 1
    inputs = made(inputs_of, train, validation, count)
    directions = [np.asarray(inputs.features[store]["weighted_hidden"]) for store in ("base", "base-validation")]
    expected = brute_force(cosine_similarity(*directions), count, passing)
    assert order(inputs, "round_robin_pass" if passing else "round_robin") == expected


def test_the_pass_of_the_authors_code_is_at_hand_and_not_the_default(inputs_of: Make) -> None:
    """Two queries want the same records: in turns the second catches up, with passes it loses its turn."""
    inputs = made(inputs_of, at(TRAIN), at(QUERIES), 2)
    assert RdsPlus().aggregate == "round_robin"
    assert order(inputs) == [1, 2]
    assert order(inputs, "round_robin_pass") == [1, 0]
    text = " ".join((rds_plus.__doc__ or "").split())
    assert "`round_robin_pass`, the authors' code" in text
    assert "Ours: `round_robin` as the default" in text


def test_equal_records_are_taken_by_id(inputs_of: Make) -> None:
    inputs = made(inputs_of, np.ones((6, 3)), np.ones((2, 3)), 4)
    assert order(inputs) == order(inputs, "round_robin_pass") == [0, 1, 2, 3]
