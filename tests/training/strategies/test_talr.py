"""Weights by the loss of the model in training, by hand."""

import math

import pytest
import torch

from grads.training.strategies.contract import Needs
from grads.training.strategies.talr import STRATEGY, Talr, record_means

# Losses 1 and 3 in the first record, whose mean is 2, and 0.5 alone in the second.
NLL = [1.0, 3.0, 0.5]
RECORDS = [0, 0, 1]


def logits_of(losses):
    """Return logits of two tokens, the first of which has these losses."""
    likely = torch.tensor([math.exp(-loss) for loss in losses])
    return torch.stack([likely, 1 - likely], dim=1).log()


def losses(batch, **parameters):
    return STRATEGY.loss(batch(logits_of(NLL), [0, 0, 0], RECORDS), None, Talr(**parameters)).tolist()


def test_a_weight_falls_with_the_loss_relative_to_its_record(batch):
    expected = [math.exp(-1 / 2) * 1, math.exp(-3 / 2) * 3, math.exp(-1) * 0.5]
    assert losses(batch) == pytest.approx(expected, rel=1e-5)
    doubled = [math.exp(-1 / 4) * 1, math.exp(-3 / 4) * 3, math.exp(-1 / 2) * 0.5]
    assert losses(batch, temperature=2.0) == pytest.approx(doubled, rel=1e-5)


def test_no_weight_is_below_the_floor_and_1_is_plain_training(batch):
    assert losses(batch, floor=0.5) == pytest.approx([math.exp(-1 / 2), 0.5 * 3, 0.5 * 0.5], rel=1e-5)
    assert losses(batch, floor=1.0) == pytest.approx(NLL, rel=1e-5)


def test_a_record_has_the_same_losses_alone_and_with_others(batch):
    together = losses(batch)
    alone = STRATEGY.loss(batch(logits_of(NLL[:2]), [0, 0]), None, Talr()).tolist()
    assert together[:2] == alone
    assert record_means(torch.tensor(NLL), torch.tensor([0, 0, 2])).tolist() == pytest.approx([2.0, 2.0, 0.5])


def test_no_gradient_passes_through_the_weight(batch):
    logits = logits_of(NLL).requires_grad_()
    STRATEGY.loss(batch(logits, [0, 0, 0], RECORDS), None, Talr()).sum().backward()
    weights = torch.tensor([[math.exp(-1 / 2)], [math.exp(-3 / 2)], [math.exp(-1)]])
    expected = weights * (logits.detach().exp() - torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(logits.grad, expected, rtol=1e-4, atol=1e-6)


def test_a_record_that_is_certain_throughout_has_no_loss(batch):
    logits = torch.tensor([[200.0, 0.0], [200.0, 0.0]])
    assert STRATEGY.loss(batch(logits, [0, 0]), None, Talr()).tolist() == [0.0, 0.0]


def test_it_needs_nothing():
    assert STRATEGY.needs(Talr()) == Needs()
