"""The LM head against torch's cross entropy and its gradient."""

import pytest
import torch

from grads.probing.gradients import head as module
from grads.probing.gradients.head import Head, groups

VOCABULARY, WIDTH = 11, 4


def make(cap: float | None = None, bias: bool = False, kind: torch.dtype = torch.float32) -> Head:
    generator = torch.Generator().manual_seed(0)
    weight = 3 * torch.randn(VOCABULARY, WIDTH, generator=generator)
    return Head(weight.to(kind), torch.randn(VOCABULARY, generator=generator).to(kind) if bias else None, cap)


HIDDEN = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([0, 3, 3, 10, 1, 7, 2])


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cap", [None, 2.0])
def test_losses_and_errors_equal_autograd(
    cap: float | None, bias: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LOGITS", {"cpu": rows * VOCABULARY})
    monkeypatch.setattr(module, "CACHED", 2 * VOCABULARY)
    head = make(cap, bias)
    assert head.rows == rows
    output = torch.nn.functional.linear(HIDDEN, head.weight, head.bias).requires_grad_()
    logits = output if cap is None else cap * torch.tanh(output / cap)
    logits.retain_grad()
    expected = torch.nn.functional.cross_entropy(logits, TARGETS, reduction="none")
    expected.sum().backward()
    losses, errors, below = head.errors(HIDDEN, TARGETS)
    torch.testing.assert_close(head.losses(HIDDEN, TARGETS), expected.detach())
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(errors, logits.grad)
    torch.testing.assert_close(below, output.grad)


def test_the_error_of_a_sure_token_is_not_rounded_away() -> None:
    # p of the target is 0.99966, which bf16 rounds to 1; its error is p - 1 = -1 / (1 + e^8).
    head = Head(torch.tensor([[8.0], [0.0]], dtype=torch.bfloat16), None, None)
    losses, errors, _ = head.errors(torch.ones(1, 1, dtype=torch.bfloat16), torch.tensor([0]))
    assert losses.item() == pytest.approx(3.354e-4, rel=1e-3)
    assert errors[0].tolist() == pytest.approx([-3.354e-4, 3.354e-4], rel=1e-2)


def test_losses_are_float32_whatever_the_weights() -> None:
    head = make(kind=torch.bfloat16)
    losses, errors, _ = head.errors(HIDDEN.bfloat16(), TARGETS)
    assert (losses.dtype, errors.dtype) == (torch.float32, torch.bfloat16)
    assert head.losses(HIDDEN.bfloat16(), TARGETS).dtype == torch.float32


def test_groups_are_consecutive_and_no_larger_than_asked() -> None:
    assert groups([3, 3, 3, 9, 1, 1], 6) == [[0, 1], [2], [3], [4, 5]]
    assert groups([], 6) == []
    assert groups([7], 6) == [[0]]
