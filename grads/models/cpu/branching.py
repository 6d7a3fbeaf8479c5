"""Causal attention over one row in which several sequences branch off shared beginnings.

A row is cut into nodes. A node's tokens see their own node up to themselves and, whole, every node on the way to its
root: a sequence is the path from a root to its last node. So what several sequences begin with is computed once, and
nothing is padded. Both passes are the matrix products of `grads.models.cpu.attention`, a node at a time.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grads.models.cpu.attention import attention_gradients, attention_of, by_group

# Columns of the nodes: first token in the row, one past its last, number of the parent (itself where it is a root).
START, STOP, PARENT = range(3)


@dataclass(frozen=True)
class Span:
    """A node of a row and the tokens of the row that stand before it in its sequences.

    Args:
        own: the node's.
        before: of each node above it, from the root on.
    """

    own: slice
    before: tuple[slice, ...]

    def seen(self, tensor: Tensor) -> Tensor:
        """Return what the node's tokens see of a row, groups x tokens x width: earlier nodes, then the node."""
        if not self.before:
            return tensor[:, self.own]
        return torch.cat([tensor[:, part] for part in (*self.before, self.own)], dim=1)

    def add(self, total: Tensor, part: Tensor) -> None:
        """Add to a row what was made for the tokens that `seen` returns."""
        start = 0
        for place in (*self.before, self.own):
            length = place.stop - place.start
            total[:, place] += part[:, start : start + length]
            start += length


def spans_of(nodes: Tensor) -> list[Span]:
    """Return the spans of nodes (N x 3, see START), in their order; a parent comes before its children."""
    spans: list[Span] = []
    for number, (start, stop, parent) in enumerate(nodes.tolist()):
        above = () if parent == number else (*spans[parent].before, spans[parent].own)
        spans.append(Span(slice(start, stop), above))
    return spans


@torch.library.custom_op("grads::branching_attention", mutates_args=())
def branching_attention(query: Tensor, key: Tensor, value: Tensor, nodes: Tensor, scale: float) -> Tensor:
    """Return attention along the sequences of a row, 1 x heads x tokens x width.

    Args:
        query: 1 x heads x tokens x width.
        key: the same with as many heads or fewer, each shared by consecutive heads of the queries.
        value: as the keys.
        nodes: N x 3 on the CPU; all tokens of the row, in its order.
        scale: of the inner products.
    """
    queries, keys, values = by_group(query, key, value)
    result = queries.new_empty((*queries.shape[:-1], value.shape[-1]))
    for span in spans_of(nodes):
        result[:, :, span.own] = attention_of(queries[:, :, span.own], span.seen(keys), span.seen(values), scale)
    return result.view(*query.shape[:-1], -1)


@branching_attention.register_fake
def _like_query(query: Tensor, key: Tensor, value: Tensor, nodes: Tensor, scale: float) -> Tensor:
    return query.new_empty((*query.shape[:-1], value.shape[-1]))


@torch.library.custom_op("grads::branching_attention_backward", mutates_args=())
def branching_attention_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, nodes: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of queries, keys and values, given that of the result."""
    queries, keys, values = by_group(query, key, value)
    uppers = gradient.reshape(*queries.shape[:-1], -1)
    of_queries = torch.empty_like(queries, memory_format=torch.contiguous_format)
    of_keys = torch.zeros_like(keys, memory_format=torch.contiguous_format)
    of_values = torch.zeros_like(values, memory_format=torch.contiguous_format)
    for span in spans_of(nodes):
        block = queries[:, :, span.own]
        found = attention_gradients(uppers[:, :, span.own], block, span.seen(keys), span.seen(values), scale)
        of_queries[:, :, span.own] = found[0]
        span.add(of_keys, found[1])
        span.add(of_values, found[2])
    return of_queries.view(query.shape), of_keys.view(key.shape), of_values.view(value.shape)


@branching_attention_backward.register_fake
def _like_all(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, nodes: Tensor, scale: float) -> Any:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.scale = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, gradient: Tensor) -> Any:
    return (*branching_attention_backward(gradient, *ctx.saved_tensors, ctx.scale), None, None)


branching_attention.register_autograd(_backward, setup_context=_keep)
