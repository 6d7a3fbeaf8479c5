"""Factors by entropy, by hand."""

import math

import pytest
import torch

from grads.training.strategies.contract import Needs
from grads.training.strategies.eaft import STRATEGY, Eaft, relative_entropies

# Of the likeliest three, 1/2, 1/4 and 1/4 are the first row's shares; the second row's are equal.
PROBABILITIES = torch.tensor([[0.4, 0.2, 0.2, 0.1, 0.1], [0.25, 0.25, 0.25, 0.15, 0.1]])
LOGITS = PROBABILITIES.log() + 3
ENTROPY = 0.5 * math.log(2) + 0.5 * math.log(4)


def losses(batch, **parameters):
    return STRATEGY.loss(batch(LOGITS, [3, 0]), None, Eaft(**parameters)).tolist()


def test_the_factor_is_the_entropy_of_the_likeliest_over_the_largest_that_it_can_be(batch):
    nll = [-math.log(0.1), -math.log(0.25)]
    expected = [ENTROPY / math.log(3) * nll[0], nll[1]]
    assert losses(batch, likeliest=3) == pytest.approx(expected, rel=1e-5)
    squared = [(ENTROPY / math.log(3)) ** 2 * nll[0], nll[1]]
    assert losses(batch, likeliest=3, power=2.0) == pytest.approx(squared, rel=1e-5)


def test_a_small_vocabulary_counts_as_a_whole(batch):
    whole = [-sum(p * math.log(p) for p in row) / math.log(5) for row in PROBABILITIES.tolist()]
    assert relative_entropies(LOGITS, 20).tolist() == pytest.approx(whole, rel=1e-5)


def test_power_0_is_plain_training(batch):
    assert losses(batch, power=0.0) == batch(LOGITS, [3, 0]).nll.tolist()


def test_no_gradient_passes_through_the_factor(batch):
    logits = LOGITS.clone().requires_grad_()
    STRATEGY.loss(batch(logits, [3, 0]), None, Eaft(likeliest=3)).sum().backward()
    factors = torch.tensor([[ENTROPY / math.log(3)], [1.0]])
    answers = torch.nn.functional.one_hot(torch.tensor([3, 0]), 5)
    torch.testing.assert_close(logits.grad, factors * (PROBABILITIES - answers), rtol=1e-4, atol=1e-6)


def test_a_token_that_the_model_is_sure_of_has_no_loss_and_no_gradient(batch):
    """The answer contradicts a prediction of probability 1 as far as float32 goes."""
    logits = torch.tensor([[200.0, 0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    found = STRATEGY.loss(batch(logits, [1]), None, Eaft())
    found.sum().backward()
    assert found.tolist() == [0.0]
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_it_needs_nothing():
    assert STRATEGY.needs(Eaft()) == Needs()
