import pytest
import torch

from grads.probe.moments import adam_direction

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
    return adam_direction(records, state["exp_avg"], state["exp_avg_sq"], int(state["step"]), **options)


@pytest.mark.parametrize("record", range(5))
def test_the_papers_direction_is_adams_own_next_step(trained, record):
    parameter, optimizer, records = trained
    expected = directions(optimizer, parameter, records, formula="paper")[record]
    before = parameter.detach().clone()
    parameter.grad = records[record]
    optimizer.step()
    torch.testing.assert_close((before - parameter.detach()) / 0.5, expected, rtol=1e-4, atol=1e-5)


def test_the_codes_direction_is_the_papers_but_for_bias_correction_and_epsilon(trained):
    parameter, optimizer, records = trained
    code = directions(optimizer, parameter, records, epsilon=1e-30)
    paper = directions(optimizer, parameter, records, epsilon=1e-30, formula="paper")
    torch.testing.assert_close(code * (1 - 0.999**8) ** 0.5 / (1 - 0.9**8), paper)


def test_epsilon_is_inside_the_root_by_default():
    nothing, gradient = torch.zeros(1), torch.tensor([1e-5])
    code = adam_direction(gradient, nothing, nothing, steps=0)
    # 0.1 g / sqrt(0.001 g^2 + 1e-8), where Adam itself would take a whole step.
    torch.testing.assert_close(code, torch.tensor([1e-6 / (1e-13 + 1e-8) ** 0.5]))
    paper = adam_direction(gradient, nothing, nothing, steps=0, formula="paper")
    torch.testing.assert_close(paper, torch.ones(1), rtol=2e-3, atol=0)


def test_other_betas_are_used(trained):
    parameter, optimizer, records = trained
    plain = directions(optimizer, parameter, records, betas=(0.0, 0.0))
    torch.testing.assert_close(plain, records / (records.square() + 1e-8).sqrt())
