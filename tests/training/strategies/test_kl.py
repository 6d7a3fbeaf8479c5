"""The penalty on predictions, by hand."""

import math
from types import SimpleNamespace

import pytest
import torch

from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Batch, Needs
from grads.training.strategies.kl import STRATEGY, Kl
from grads.training.strategies.registry import find_strategy, parse_parameters

TUNED = torch.tensor([[math.log(0.7), math.log(0.2), math.log(0.1)], [0.0, 0.0, 0.0]]) + 5
BASE = torch.tensor([[math.log(0.5), math.log(0.25), math.log(0.25)], [math.log(4), 0.0, 0.0]]) - 2
LABELS = torch.tensor([2, 0])


def losses(tuned, coefficient, base=BASE):
    index = torch.arange(len(tuned))
    batch = Batch(torch.zeros(1, 9), index * 0, index, LABELS, torch.ones(len(tuned)), tuned)
    return STRATEGY.loss(batch, SimpleNamespace(logits=lambda _batch: base), Kl(coefficient=coefficient))


def test_the_penalty_is_kl_of_the_base_model_to_the_tuned_one():
    kl = [
        0.5 * math.log(0.5 / 0.7) + 0.25 * math.log(0.25 / 0.2) + 0.25 * math.log(0.25 / 0.1),
        4 / 6 * math.log(4 / 6 * 3) + 2 * 1 / 6 * math.log(1 / 6 * 3),
    ]
    nll = [-math.log(0.1), math.log(3)]
    for coefficient in (0.0, 0.5, 2.0):
        expected = [one + coefficient * other for one, other in zip(nll, kl, strict=True)]
        assert losses(TUNED, coefficient).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_a_mixture_of_answer_and_base_prediction():
    tuned = TUNED.clone().requires_grad_()
    losses(tuned, 1.5).sum().backward()
    answer = torch.nn.functional.one_hot(LABELS, 3)
    expected = 2.5 * TUNED.softmax(-1) - answer - 1.5 * BASE.softmax(-1)
    torch.testing.assert_close(tuned.grad, expected, rtol=1e-5, atol=1e-6)


def test_equal_predictions_have_no_penalty_to_the_bit():
    assert torch.equal(losses(TUNED, 1e6, base=TUNED), losses(TUNED, 0.0))


def test_it_needs_the_base_models_logits_and_nothing_else():
    assert STRATEGY.needs(Kl()) == Needs(base_logits=True)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("kl", {"coefficient": -0.1}, "parameter 'coefficient' of strategy 'kl' is -0.1"),
        ("kl", {"coefficient": math.nan}, "parameter 'coefficient' of strategy 'kl' is nan"),
        ("kl", {"coefficient": math.inf}, "parameter 'coefficient' of strategy 'kl' is inf"),
        ("kl", {"coefficient": "1e-2"}, "parameter 'coefficient' of strategy 'kl' is '1e-2'"),
        ("kl", {"coeficient": 1.0}, "strategy 'kl' has no parameter 'coeficient': did you mean 'coefficient'"),
        ("l2_sp", {"alpha": -1.0}, "parameter 'alpha' of strategy 'l2_sp' is -1.0"),
        ("l2_sp", {"alpha": [0.1]}, "parameter 'alpha' of strategy 'l2_sp' is"),
        ("l2_sp", {"beta": 0.1}, "strategy 'l2_sp' has no parameter 'beta'"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(name, given, message):
    with pytest.raises(GradsError, match=message) as found:
        parse_parameters(find_strategy(name), given)
    assert "\n" not in str(found.value)
