"""Weights of records."""

import pytest

from grads.config.training import Training
from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Inputs, Parameters
from grads.training.strategies.weighted import STRATEGY


def test_every_token_has_the_weight_of_its_record(examples):
    found = STRATEGY.prepare(examples(3), Inputs(weights={"r0": 0.5, "r1": 2.5, "r2": 0.0}), Parameters())
    assert found.weights == {"r0": [0.5] * 3, "r1": [2.5] * 3}
    assert list(found.examples) == ["r0", "r1"]
    assert found.notes == {
        "records_of_weight_0": 1,
        "distinct_weights": 2,
        "least_weight": 0.5,
        "largest_weight": 2.5,
    }


def test_steps_of_one_record_are_refused():
    with pytest.raises(GradsError, match=r"weighs records within a step, and training\.global_batch is 1"):
        STRATEGY.settings(Training(global_batch=1), Parameters())
    assert STRATEGY.settings(Training(), Parameters()) == Training()
