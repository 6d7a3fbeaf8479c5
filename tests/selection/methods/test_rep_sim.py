"""Cosines of hidden states to the target's, by hand and against scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods import rep_sim
from grads.selection.methods.rep_sim import METHOD, RepSim
from grads.selection.registry import parse_parameters

Make = Callable[..., Inputs]


def choose(inputs_of: Make, train: Any, validation: Any, count: int, **parameters: Any) -> Choice:
    kind = parameters.get("states", "hidden")
    inputs = inputs_of({"base": {kind: train}, "base-validation": {kind: validation}}, count)
    return METHOD.select(inputs, RepSim(**parameters))


def test_three_records_by_hand(inputs_of: Make) -> None:
    train, validation = [[1.0, 0.0], [3.0, 3.0], [0.0, 2.0]], [[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    half = 2**-0.5
    choice = choose(inputs_of, train, validation, 1)
    # Two of the three targets lie along the first axis.
    assert choice.score.tolist() == pytest.approx([2 / 3, half, 1 / 3], abs=1e-3)
    assert choice.order is None
    assert choice.notes["mean_cosine"] == pytest.approx(half, abs=1e-3)
    largest = choose(inputs_of, train, validation, 1, aggregate="max")
    assert largest.score.tolist() == pytest.approx([1, half, 1], abs=1e-3)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_scores_are_those_of_scikit_learn(
    aggregate: str, centred: bool, inputs_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rep_sim, "CHUNK", 20)
    random = np.random.default_rng(0)
    train, validation = random.normal(size=(40, 6)) + 2, random.normal(size=(7, 6)) + 2
    choice = choose(inputs_of, train, validation, 5, states="weighted_hidden", aggregate=aggregate, centred=centred)
    origin = train.mean(axis=0) if centred else 0
    cosines = cosine_similarity(train - origin, validation - origin)
    np.testing.assert_allclose(choice.score, getattr(cosines, aggregate)(axis=1), atol=2e-3)


def test_what_lies_at_the_mean_is_near_to_nothing(inputs_of: Make) -> None:
    assert choose(inputs_of, np.ones((4, 3)), np.eye(3), 2, centred=True).score.tolist() == [0, 0, 0, 0]


def test_sentences_of_an_encoder_by_hand(inputs_of: Make) -> None:
    # Of length 1, as encoders give them; cosines to (1, 0) and (0.6, 0.8): 1 and 0.6, 0.6 and 1, 0 and 0.8.
    train, validation = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], [[1.0, 0.0], [0.6, 0.8]]
    stores = {"encoder-mini": {"sentences": train}, "encoder-mini-validation": {"sentences": validation}}
    choice = METHOD.select(inputs_of(stores, 2), RepSim(encoder="mini"))
    assert choice.score.tolist() == pytest.approx([0.8, 0.8, 0.4], abs=1e-3)
    assert choice.notes["mean_cosine"] == pytest.approx(0.8, abs=1e-3)
    largest = METHOD.select(inputs_of(stores, 2), RepSim(encoder="mini", aggregate="max"))
    assert largest.score.tolist() == pytest.approx([1.0, 1.0, 0.8], abs=1e-3)


def test_an_encoder_has_no_states_of_the_model() -> None:
    with pytest.raises(GradsError, match="states 'embeddings' are the model's, not an encoder's"):
        parse_parameters(METHOD, {"encoder": "mini", "states": "embeddings"})


def test_needs() -> None:
    assert METHOD.needs(RepSim(encoder="mini")).stores == {
        "encoder-mini": {"sentences"},
        "encoder-mini-validation": {"sentences"},
    }
    assert METHOD.sees_target(RepSim(encoder="mini"))
    assert METHOD.needs(RepSim(states="embeddings")).stores == {
        "base": {"embeddings"},
        "base-validation": {"embeddings"},
    }
