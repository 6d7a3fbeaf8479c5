"""Strategies that change settings: what they change and nothing else."""

import pytest

from grads.config.training import Adapter, Training
from grads.runtime.errors import GradsError
from grads.training.strategies import dropout, low_lr

TRAINING = Training(learning_rate=2.0e-4, adapter=Adapter(rank=4, dropout=0.0))


def test_a_tenth_of_the_rate():
    changed = low_lr.STRATEGY.settings(TRAINING, low_lr.LowRate())
    assert changed.learning_rate == pytest.approx(2.0e-5)
    assert changed.model_copy(update={"learning_rate": 2.0e-4}) == TRAINING
    assert low_lr.STRATEGY.settings(TRAINING, low_lr.LowRate(factor=0.5)).learning_rate == pytest.approx(1.0e-4)


def test_dropout_of_the_adapter():
    changed = dropout.STRATEGY.settings(TRAINING, dropout.Dropout(rate=0.3))
    assert changed.adapter == Adapter(rank=4, dropout=0.3)
    assert changed.model_copy(update={"adapter": TRAINING.adapter}) == TRAINING


def test_dropout_without_an_adapter_is_refused():
    with pytest.raises(GradsError, match=r"drops an adapter's inputs|drops inputs of an adapter"):
        dropout.STRATEGY.settings(TRAINING.model_copy(update={"weights": "full"}), dropout.Dropout())
