"""LESS by hand, by its definition, and between paper and code."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from grads.selection.contract import Inputs, Needs
from grads.selection.methods.less import METHOD, Less

Make = Callable[..., Inputs]


def score(inputs: Inputs, **parameters: Any) -> np.ndarray:
    return METHOD.select(inputs, Less(**parameters)).score


def made(inputs_of: Make, train: Any, validation: Any, sources: str | None = None) -> Inputs:
    ids = [f"v{index:03}" for index in range(len(validation))]
    texts = None if sources is None else {"validation": pd.DataFrame({"id": ids, "source": list(sources)})}
    rows = {"warm": {"adam_features": train}, "warm-validation": {"sgd_features": validation}}
    return inputs_of(rows, count=1, texts=texts)


def test_four_records_by_hand(inputs_of: Make) -> None:
    # Cosines with (1, 0) and (0, 1), which is ten times longer: the mean gradient is (1, 10) / 2.
    inputs = made(inputs_of, [[2, 0], [0, 3], [3, 4], [-1, 0]], [[1, 0], [0, 10]], "ab")
    np.testing.assert_allclose(score(inputs), [0.5, 0.5, 0.7, -0.5], atol=1e-3)
    np.testing.assert_allclose(
        score(inputs, aggregate="mean_gradient"), np.array([1, 10, 8.6, -1]) / 101**0.5, atol=1e-3
    )
    # The best of two subtasks of one record each, where code and paper are the same.
    for aggregate in ("items", "mean_gradient"):
        np.testing.assert_allclose(
            score(inputs, subtasks="source", aggregate=aggregate), [1.0, 1.0, 0.8, 0.0], atol=1e-3
        )


@pytest.mark.parametrize("subtasks", ["one", "source"])
def test_code_form_is_the_mean_of_cosines(subtasks: str, inputs_of: Make) -> None:
    random = np.random.default_rng(0)
    train, validation, sources = random.normal(size=(40, 8)), random.normal(size=(9, 8)), "abcabcaab"
    inputs = made(inputs_of, train, validation, sources)
    cosines = cosine_similarity(train, validation)
    groups = [list(range(9))] if subtasks == "one" else [[i for i in range(9) if sources[i] == s] for s in "abc"]
    expected = np.max([cosines[:, members].mean(axis=1) for members in groups], axis=0)
    np.testing.assert_allclose(score(inputs, subtasks=subtasks), expected, atol=1e-3)
    means = [validation[members].mean(axis=0) for members in groups]
    expected = np.max([cosine_similarity(train, mean[None])[:, 0] for mean in means], axis=0)
    found = score(inputs, subtasks=subtasks, aggregate="mean_gradient")
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_record_named_by_id_keeps_its_source_in_any_order(inputs_of: Make) -> None:
    inputs = made(inputs_of, [[1, 0], [1, 1]], [[1, 0], [0, 1], [0, 2]], "abb")
    inputs.texts["validation"] = inputs.texts["validation"].iloc[::-1]  # type: ignore[index]
    choice = METHOD.select(inputs, Less(subtasks="source"))
    assert choice.notes == {"records_nearest_to_subtask": {"a": 2, "b": 0}}


def test_length_of_a_training_gradient_says_nothing(inputs_of: Make) -> None:
    random = np.random.default_rng(1)
    train, validation = random.normal(size=(30, 4)), random.normal(size=(5, 4))
    scaled = train * 2.0 ** random.integers(-10, 10, size=(30, 1))
    assert score(made(inputs_of, train, validation)).tolist() == score(made(inputs_of, scaled, validation)).tolist()


def test_needs_follow_the_subtasks() -> None:
    stores = {"warm": {"adam_features"}, "warm-validation": {"sgd_features"}}
    assert METHOD.needs(Less()) == Needs(stores)
    assert METHOD.needs(Less(subtasks="source")) == Needs(stores, texts=frozenset({"validation"}))
    assert METHOD.uses_target is True


def test_over_checkpoints_the_stores_of_the_warm_up_are_read(inputs_of: Make) -> None:
    """Two checkpoints of weights 0.7 and 0.3, one after the other as `grads.probing.warmup` puts them."""
    random = np.random.default_rng(0)
    train, validation = random.normal(size=(2, 6, 4)), random.normal(size=(2, 3, 4))
    weights = np.array([0.7, 0.3])

    def joined(vectors: np.ndarray) -> np.ndarray:
        units = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
        return np.concatenate(list(weights[:, None, None] ** 0.5 * units), axis=1)

    rows = {"warmup": {"adam_features": joined(train)}, "warmup-validation": {"sgd_features": joined(validation)}}
    cosines = [cosine_similarity(one, other).mean(axis=1) for one, other in zip(train, validation, strict=True)]
    np.testing.assert_allclose(score(inputs_of(rows, 1), point="warmup"), weights @ cosines, atol=2e-3)
    assert METHOD.needs(Less(point="warmup")).stores == {
        "warmup": {"adam_features"},
        "warmup-validation": {"sgd_features"},
    }
    with pytest.raises(ValueError, match="no lengths to take a mean by"):
        Less(point="warmup", aggregate="mean_gradient")
