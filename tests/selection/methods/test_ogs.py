"""OGS by hand and against scikit-learn's cosine."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from grads.runtime.errors import GradsError
from grads.selection.contract import Inputs
from grads.selection.methods.ogs import METHOD, Ogs

Make = Callable[..., Inputs]


def made(inputs_of: Make, train: Any, anchor: Any, count: int) -> Inputs:
    return inputs_of({"base": {"sgd_features": train}, "base-anchor": {"sgd_features": anchor}}, count)


def test_four_records_by_hand(inputs_of: Make) -> None:
    # The anchor's mean is (2, 0): cosines 1, 0.6, 0 and -0.8.
    inputs = made(inputs_of, [[5, 0], [3, 4], [0, 1], [-8, 6]], [[1, 3], [3, -3]], 3)
    choice = METHOD.select(inputs, Ogs())
    np.testing.assert_allclose(choice.score, [0, 0.4, 1, 0.2], atol=1e-3)
    assert choice.order is None
    assert choice.notes["in_conflict"] == 1
    signed = METHOD.select(inputs, Ogs(variant="signed"))
    np.testing.assert_allclose(signed.score, [1, 0.6, 0, -0.8], atol=1e-3)
    assert signed.order is not None
    assert signed.order.tolist() == [0, 1, 2]


def test_the_point_is_where_both_gradients_are_taken(inputs_of: Make) -> None:
    assert METHOD.needs(Ogs()).stores.keys() == {"base", "base-anchor"}
    assert METHOD.needs(Ogs(point="warm")).stores.keys() == {"warm", "warm-anchor"}
    train, anchor = [[5, 0], [3, 4], [0, 1], [-8, 6]], [[1, 3], [3, -3]]
    at_warm = inputs_of({"warm": {"sgd_features": train}, "warm-anchor": {"sgd_features": anchor}}, 3)
    base = METHOD.select(made(inputs_of, train, anchor, 3), Ogs())
    assert METHOD.select(at_warm, Ogs(point="warm")).score.tolist() == base.score.tolist()


def test_those_in_conflict_are_never_kept(inputs_of: Make) -> None:
    random = np.random.default_rng(0)
    train, anchor = random.normal(size=(50, 6)), random.normal(size=(9, 6))
    cosines = cosine_similarity(train, anchor.mean(axis=0)[None])[:, 0]
    inputs = made(inputs_of, train, anchor, 50)
    np.testing.assert_allclose(METHOD.select(inputs, Ogs()).score, 1 - np.abs(cosines), atol=1e-3)
    order = METHOD.select(inputs, Ogs(variant="signed")).order
    assert order is not None
    assert sorted(order.tolist()) == np.flatnonzero(cosines >= 0).tolist()
    assert (np.diff(cosines[order]) <= 1e-3).all()
    few = METHOD.select(made(inputs_of, train, anchor, 5), Ogs(variant="signed")).order
    assert few is not None
    assert few.tolist() == order[:5].tolist()


def test_long_anchor_gradients_weigh_more(inputs_of: Make) -> None:
    score = METHOD.select(made(inputs_of, [[1, 0], [0, 1]], [[99, 0], [0, 1]], 1), Ogs()).score
    np.testing.assert_allclose(score, [0, 1 - 1 / 99], atol=1e-3)


def test_an_anchor_without_gradient_is_refused(inputs_of: Make) -> None:
    with pytest.raises(GradsError, match="mean gradient of the anchor to be zero"):
        METHOD.select(made(inputs_of, [[1, 0]], [[1, 0], [-1, 0]], 1), Ogs())


def test_the_anchor_is_no_target() -> None:
    assert METHOD.needs(Ogs()).stores == {"base": {"sgd_features"}, "base-anchor": {"sgd_features"}}
    assert METHOD.uses_target is False
