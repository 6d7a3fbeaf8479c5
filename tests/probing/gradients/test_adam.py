import pytest
import torch

from grads.probing.gradients.adam import adam_direction

SHAPE = (4, 6)


@pytest.fixture
def trained():
    """A parameter after seven steps of AdamW, its optimiser's state, and gradients of five records."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(SHAPE))
    optimizer = torch.optim.AdamW([parameter], lr=0.5, weight_decay=0.0)
    for _ in range(7):
        parameter.grad = torch.randn(SHAPE) * 1e-2
        optimizer.step()
    return parameter, optimizer, torch.randn(5, *SHAPE) * 1e-2


def directions(optimizer, parameter, records, **options):
    state = optimizer.state[parameter]
    return adam_direction(records, state["exp_avg"], state["exp_avg_sq"], **options)


@pytest.mark.parametrize("record", range(5))
def test_it_is_adams_own_next_step_but_for_bias_correction(trained, record):
    parameter, optimizer, records = trained
    # Neither epsilon counts here: one is almost 0, the other far below the gradients' size.
    found = directions(optimizer, parameter, records, epsilon=1e-30)[record] * (1 - 0.999**8) ** 0.5 / (1 - 0.9**8)
    before = parameter.detach().clone()
    parameter.grad = records[record]
    optimizer.step()
    torch.testing.assert_close((before - parameter.detach()) / 0.5, found, rtol=1e-4, atol=1e-5)


def test_epsilon_is_inside_the_root():
    nothing, gradient = torch.zeros(1), torch.tensor([1e-5])
    # 0.1 g / sqrt(0.001 g^2 + 1e-8), where Adam itself would take a whole step.
    expected = torch.tensor([1e-6 / (1e-13 + 1e-8) ** 0.5])
    torch.testing.assert_close(adam_direction(gradient, nothing, nothing), expected)


def test_other_betas_are_used(trained):
    parameter, optimizer, records = trained
    plain = directions(optimizer, parameter, records, betas=(0.0, 0.0))
    torch.testing.assert_close(plain, records / (records.square() + 1e-8).sqrt())
