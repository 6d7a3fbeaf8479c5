"""Causal attention on a CPU, many times faster than torch's own in the backward pass over short sequences.

torch's fused kernel is not made for many short sequences: its backward pass over 37 of 50 tokens takes nine times as
long as the matrix products below. Here both passes are matrix products, a block of queries at a time. The first block's
probabilities, which are all of them in a short sequence, are kept for the backward pass; it recomputes the others from
queries and keys, so that hardly more is held than with the fused kernel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "grads_causal_cpu"
# Rows of queries whose probabilities are held at once.
BLOCK = 128
# Tokens of a record beyond which torch's own is the quicker one on some processors.
LONGEST = 1024


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Return softmax(scale Q K^T + causal mask) V, batch x heads x tokens x width.

    Args:
        query: batch x heads x tokens x width.
        key: the same with as many heads or fewer, each shared by consecutive heads of the queries.
        value: as the keys.
        scale: of the inner products.
    """
    return attention_and_weights(query, key, value, scale)[0]


@torch.library.custom_op("grads::causal_attention", mutates_args=())
def attention_and_weights(query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return what `causal_attention` does, and the probabilities of the first block of queries."""
    queries, keys, values = _by_group(query, key, value)
    result = queries.new_empty((*queries.shape[:-1], value.shape[-1]))
    first = None
    for rows, seen in _blocks(query.shape[2]):
        weights = _weights(queries[:, :, rows], keys[:, seen], scale)
        first = weights if first is None else first
        result[:, :, rows] = torch.bmm(weights, values[:, seen]).view(*result[:, :, rows].shape)
    assert first is not None
    return result.view(*query.shape[:-1], -1), first


@attention_and_weights.register_fake
def _like_query(query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    batch, heads, tokens, _ = query.shape
    groups = key.shape[1]
    rows = torch.sym_min(tokens, BLOCK)
    first = query.new_empty((batch * groups, heads // groups * rows, rows))
    return query.new_empty((*query.shape[:-1], value.shape[-1])), first


@torch.library.custom_op("grads::causal_attention_backward", mutates_args=())
def causal_attention_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, first: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of queries, keys and values, given that of the result and what was kept."""
    queries, keys, values = _by_group(query, key, value)
    uppers = gradient.reshape(*queries.shape[:-1], -1)
    of_queries = torch.empty_like(queries, memory_format=torch.contiguous_format)
    of_keys, of_values = (torch.zeros_like(t, memory_format=torch.contiguous_format) for t in (keys, values))
    for rows, seen in _blocks(query.shape[2]):
        block = queries[:, :, rows]
        before = keys[:, seen]
        weights = _weights(block, before, scale) if rows.start else first
        flat = block.flatten(1, 2)
        upper = uppers[:, :, rows].flatten(1, 2)
        inner = torch.bmm(upper, values[:, seen].mT)
        change = torch._softmax_backward_data(inner, weights, -1, weights.dtype).mul_(scale)
        of_queries[:, :, rows] = torch.bmm(change, before).view(block.shape)
        of_keys[:, seen] += torch.bmm(change.mT, flat)
        of_values[:, seen] += torch.bmm(weights.mT, upper)
    return of_queries.view(query.shape), of_keys.view(key.shape), of_values.view(value.shape)


@causal_attention_backward.register_fake
def _like_all(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, first: Tensor, scale: float) -> Any:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.scale = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, output[1])


def _backward(ctx: Any, gradient: Tensor | None, _of_weights: None) -> Any:
    if gradient is None:
        return None, None, None, None
    return (*causal_attention_backward(gradient, *ctx.saved_tensors, ctx.scale), None)


attention_and_weights.register_autograd(_backward, setup_context=_keep)


def _by_group(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (batch x groups) x heads of a group x tokens x width of the queries, without heads of keys and values."""
    batch, heads, tokens, width = query.shape
    groups = key.shape[1]
    keys, values = (tensor.reshape(batch * groups, tokens, -1) for tensor in (key, value))
    return query.reshape(batch * groups, heads // groups, tokens, width), keys, values


def _blocks(tokens: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows of each block of queries, and the keys up to its last."""
    for start in range(0, tokens, BLOCK):
        stop = min(start + BLOCK, tokens)
        yield slice(start, stop), slice(0, stop)


def _weights(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Return the probabilities of a block, groups x (heads of a group x rows) x keys up to its last row."""
    group, repeats, rows, _ = query.shape
    seen = key.shape[1]
    mask = torch.full((rows, seen), -torch.inf, dtype=query.dtype, device=query.device).triu(seen - rows + 1)
    scores = torch.baddbmm(mask.repeat(repeats, 1).expand(group, -1, -1), query.flatten(1, 2), key.mT, alpha=scale)
    return scores.softmax(dim=-1)


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
    if getattr(model.config, "_attn_implementation", None) != "sdpa" or model.device.type != "cpu":
        yield
        return
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")
