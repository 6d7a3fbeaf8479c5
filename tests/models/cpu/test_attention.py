"""Attention on the CPU against the products written out, forward and backward."""

import pytest
import torch

from grads.models.cpu import attention
from grads.models.cpu.attention import (
    BLOCK,
    attention_and_weights,
    causal_attention,
    causal_attention_backward,
)


def plain(query, key, value, scale):
    """Return softmax(s Q K^T + mask) V, every head with keys and values of its own."""
    key, value = (tensor.repeat_interleave(query.shape[1] // tensor.shape[1], dim=1) for tensor in (key, value))
    scores = scale * query @ key.mT
    masked = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return masked.softmax(dim=-1) @ value


def both_ways(make, *inputs):
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = make(*leaves)
    weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(9))
    return output.detach(), torch.autograd.grad((output.float() * weight).sum(), leaves)


def random_heads(tokens, groups, width=8):
    generator = torch.Generator().manual_seed(tokens)
    return [2 * torch.randn(2, heads, tokens, width, generator=generator) for heads in (4, groups, groups)]


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("tokens", [1, 2, 50, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_output_and_gradients_are_those_of_the_plain_products(tokens, groups):
    inputs = random_heads(tokens, groups)
    expected, wanted = both_ways(lambda q, k, v: plain(q, k, v, 0.3), *inputs)
    found, gradients = both_ways(lambda q, k, v: causal_attention(q, k, v, 0.3), *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for gradient, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


def test_gradients_pass_the_numerical_check(monkeypatch):
    monkeypatch.setattr(attention, "BLOCK", 3)
    inputs = [tensor[:1].double().requires_grad_() for tensor in random_heads(7, 2, width=3)]
    assert torch.autograd.gradcheck(lambda q, k, v: causal_attention(q, k, v, 0.5), inputs)


def test_values_may_be_of_another_width_and_inputs_not_contiguous():
    query, key, _ = random_heads(BLOCK + 5, 2)
    value = torch.randn(2, BLOCK + 5, 2, 5).transpose(1, 2)
    query = query.transpose(1, 2).contiguous().transpose(1, 2)
    expected, wanted = both_ways(lambda q, k, v: plain(q, k, v, 0.3), query, key, value)
    found, gradients = both_ways(lambda q, k, v: causal_attention(q, k, v, 0.3), query, key, value)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for gradient, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [20, BLOCK + 3])
def test_a_compiler_is_told_the_right_shapes(tokens):
    query, key, value = random_heads(tokens, 2)
    value = value[..., :5]
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(attention_and_weights, (query, key, value, 0.3), test_utils=checks)
    result, first = attention_and_weights(query, key, value, 0.3)
    given = (torch.randn_like(result), query, key, value, first, 0.3)
    torch.library.opcheck(causal_attention_backward, given, test_utils=checks)


def test_bf16_is_as_near_as_torchs_own():
    inputs = [tensor.bfloat16() for tensor in random_heads(70, 2)]
    _, wanted = both_ways(lambda q, k, v: plain(q, k, v, 0.3), *(tensor.float() for tensor in inputs))
    _, own = both_ways(
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=0.3, enable_gqa=True
        ),
        *inputs,
    )
    _, gradients = both_ways(lambda q, k, v: causal_attention(q, k, v, 0.3), *inputs)
    for gradient, other, exact in zip(gradients, own, wanted, strict=True):
        assert gradient.dtype == torch.bfloat16
        error, allowed = ((tensor.float() - exact).norm() / exact.norm() for tensor in (gradient, other))
        assert error <= max(2 * allowed, 0.01)
