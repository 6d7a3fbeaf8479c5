"""Causal attention on a CPU with a backward pass that is many times faster than torch's own in short sequences.

torch's fused kernel is quick forward, but its backward pass is not made for many short sequences: 37 of 50 tokens take
it twenty times as long as the matrix products below. Here the forward pass is torch's, and the backward pass recomputes
the probabilities from queries and keys, a block of queries at a time, so that as little is held as with the fused one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "grads_causal_cpu"
# Rows of queries whose probabilities are held at once.
BLOCK = 128
# Tokens of a record beyond which torch's own backward pass is the quicker one.
LONGEST = 1024


@torch.library.custom_op("grads::causal_attention", mutates_args=())
def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Return softmax(scale Q K^T + causal mask) V, batch x heads x tokens x width.

    Args:
        query: batch x heads x tokens x width.
        key: the same with as many heads or fewer, each shared by consecutive heads of the queries.
        value: as the keys.
        scale: of the inner products.
    """
    grouped = query.shape[1] != key.shape[1]
    found = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=grouped)
    return found.contiguous()


@causal_attention.register_fake
def _like_query(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    return query.new_empty((*query.shape[:-1], value.shape[-1]))


@torch.library.custom_op("grads::causal_attention_backward", mutates_args=())
def causal_attention_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of queries, keys and values, given that of the result."""
    batch, heads, tokens, _ = query.shape
    groups = key.shape[1]
    keys, values = (tensor.reshape(batch * groups, tokens, -1) for tensor in (key, value))
    by_group = (batch * groups, heads // groups, tokens, -1)
    queries, upper = query.reshape(by_group), gradient.reshape(by_group)
    of_queries = torch.empty_like(queries, memory_format=torch.contiguous_format)
    of_keys, of_values = (torch.zeros_like(t, memory_format=torch.contiguous_format) for t in (keys, values))
    for start in range(0, tokens, BLOCK):
        stop = min(start + BLOCK, tokens)
        rows, seen = slice(start, stop), slice(0, stop)
        found = _block(queries[:, :, rows], keys[:, seen], values[:, seen], upper[:, :, rows], scale)
        of_queries[:, :, rows] = found[0]
        of_keys[:, seen] += found[1]
        of_values[:, seen] += found[2]
    return of_queries.view(query.shape), of_keys.view(key.shape), of_values.view(value.shape)


@causal_attention_backward.register_fake
def _like_all(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Any:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.scale = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, gradient: Tensor) -> Any:
    return (*causal_attention_backward(gradient, *ctx.saved_tensors, ctx.scale), None)


causal_attention.register_autograd(_backward, setup_context=_keep)


def _block(query: Tensor, key: Tensor, value: Tensor, gradient: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a block's queries, and its part in those of the keys and values up to its last query."""
    group, repeats, rows, _ = query.shape
    seen = key.shape[1]
    mask = torch.full((rows, seen), -torch.inf, dtype=query.dtype, device=query.device).triu(seen - rows + 1)
    flat, upper = query.reshape(group, repeats * rows, -1), gradient.reshape(group, repeats * rows, -1)
    scores = torch.baddbmm(mask.repeat(repeats, 1).expand(group, -1, -1), flat, key.mT, alpha=scale)
    weights = scores.softmax(dim=-1)
    inner = torch.bmm(upper, value.mT)
    change = torch._softmax_backward_data(inner, weights, -1, weights.dtype).mul_(scale)
    return (
        torch.bmm(change, key).view(query.shape),
        torch.bmm(change.mT, flat),
        torch.bmm(weights.mT, upper),
    )


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention for transformers' interface: ours where it is plainly causal, else torch's."""
    tokens = query.shape[2]
    plain = attention_mask is None and tokens == key.shape[2] and tokens <= LONGEST and not options.get("dropout")
    plain &= options.get("is_causal") is not False and getattr(module, "is_causal", True)
    plain &= options.get("position_bias") is None and options.get("softcap") is None
    if not plain:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    scale = options.get("scaling")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return causal_attention(query, key, value, scale).transpose(1, 2), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def quick_attention(model: Any) -> Iterator[None]:
    """Let a transformers model on a CPU that uses torch's attention use ours; others stay as they are."""
    kinds = {config._attn_implementation for config in [model.config] if hasattr(config, "_attn_implementation")}
    if kinds != {"sdpa"} or model.device.type != "cpu":
        yield
        return
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")
