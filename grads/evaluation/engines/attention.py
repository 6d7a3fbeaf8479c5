"""Attention over packed tokens: rows of any lengths lie one behind the other, without padding.

All linear layers then see real tokens only. What a token may look at is not in a mask that the model makes, but in a
plan of ours: `TreePlan` for sequences and trees of them, `CachedPlan` for the next token of sequences whose keys and
values are held in a `Cache`. transformers' models call our attention by its name, which their interface allows for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from grads.evaluation.engines.trees import Tree

NAME = "grads_packed"
# What models hand to their attention and what changes nothing here.
HARMLESS = {"dropout", "is_causal", "position_ids", "cache_position", "output_attentions", "use_cache", "head_mask"}
HARMLESS |= {"output_hidden_states", "past_key_values", "return_dict", "position_embeddings", "layer_idx"}


class UnsupportedError(Exception):
    """A model asks for an attention that is not known here; the message says which."""


@dataclass(frozen=True)
class Shape:
    """What a layer wants of its attention: the scale of products, a window of positions, a cap of the scores."""

    scale: float
    window: int | None = None
    cap: float | None = None


class Plan(Protocol):
    """Which tokens of a pass look at which."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, shape: Shape) -> Tensor:
        """Return tokens x heads x width, of heads x tokens x width of each."""


class Cache:
    """Keys and values of sequences that are being continued, by layer: rows x heads x positions x width.

    Args:
        rows: most sequences at a time.
        positions: most tokens of one.
    """

    def __init__(self, rows: int, positions: int) -> None:
        self.rows = rows
        self.positions = positions
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}

    def layer(self, number: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's keys and values; a layer's first ones, heads x tokens x width, say how large they are."""
        if number not in self.layers:
            self.layers[number] = (self._empty(key), self._empty(value))
        return self.layers[number]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first positions of a row to another row."""
        for pair in self.layers.values():
            for stored in pair:
                stored[target, :, :length] = stored[source, :, :length]

    def _empty(self, like: Tensor) -> Tensor:
        heads, _, width = like.shape
        # What nothing has been written to is read, too, with a weight of zero: it has to be a number.
        return like.new_zeros((self.rows, heads, self.positions, width))


class TreePlan:
    """Each token of a tree looks at itself and at those before it on its way to the first one.

    Args:
        trees: in the order of their tokens in the pass.
        device: of the pass.
        cache: where keys and values are kept, if anywhere; the trees are plain sequences then.
        rows: of each tree its row there.
    """

    def __init__(
        self, trees: Sequence[Tree], device: torch.device, cache: Cache | None = None, rows: Sequence[int] = ()
    ) -> None:
        lengths = [len(tree.tokens) for tree in trees]
        self.count = len(trees)
        self.longest = max(lengths)
        self.cache = cache
        self.rows = torch.tensor(rows, device=device)
        table = torch.zeros((self.count, self.longest), dtype=torch.long)
        places = []
        start = 0
        for row, length in enumerate(lengths):
            table[row, :length] = torch.arange(start, start + length)
            places.append(torch.arange(length) + row * self.longest)
            start += length
        self.even = min(lengths) == self.longest
        self.table = table.flatten().to(device)
        self.places = torch.cat(places).to(device)
        self.branches = any(tree.branches for tree in trees)
        self.trees = trees
        self.device = device
        self.visible: Tensor | None = None
        self.masks: dict[tuple[int | None, torch.dtype], Tensor | None] = {}

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, shape: Shape) -> Tensor:
        """See `Plan`."""
        queries = self._by_row(query)
        keys = self._by_row(key)
        values = self._by_row(value)
        if self.cache is not None:
            for stored, new in zip(self.cache.layer(layer, key, value), (keys, values), strict=True):
                stored[self.rows, :, : self.longest] = new
        found = attention(queries, keys, values, self._mask(shape.window, query.dtype), shape)
        found = found.transpose(1, 2).reshape(self.count * self.longest, query.shape[0], -1)
        return found if self.even else found[self.places]

    def _by_row(self, packed: Tensor) -> Tensor:
        """Return rows x heads x tokens x width of heads x tokens x width."""
        heads, _, width = packed.shape
        rows = packed if self.even else packed[:, self.table]
        return rows.reshape(heads, self.count, self.longest, width).transpose(0, 1)

    def _mask(self, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """Return what is added to the scores, rows x 1 x tokens x tokens; None where attention is plainly causal."""
        if window is not None and window >= self.longest:
            window = None
        if window is None and not self.branches:
            return None
        if (window, dtype) not in self.masks:
            seen = self._visible()
            if window is not None:
                depths = torch.zeros((self.count, self.longest), dtype=torch.long)
                for row, tree in enumerate(self.trees):
                    depths[row, : len(tree.depths)] = torch.tensor(tree.depths)
                seen = seen & (depths.unsqueeze(2) - depths.unsqueeze(1) < window)
            self.masks[window, dtype] = additive(seen.to(self.device), dtype).unsqueeze(1)
        return self.masks[window, dtype]

    def _visible(self) -> Tensor:
        """Return whether a token sees another, rows x tokens x tokens."""
        if self.visible is None:
            self.visible = torch.zeros((self.count, self.longest, self.longest), dtype=torch.bool)
            for row, tree in enumerate(self.trees):
                seen = self.visible[row]
                for place, parent in enumerate(tree.parents):
                    if parent >= 0:
                        seen[place] = seen[parent]
                    seen[place, place] = True
                # Padding looks at itself: a row of a softmax that sees nothing has no value.
                seen.diagonal()[len(tree.tokens) :] = True
        return self.visible


class CachedPlan:
    """The next token of sequences whose keys and values are held: it looks at all before it, and is held too.

    Args:
        cache: its first rows are the sequences.
        lengths: of each, without the next token.
        device: of the pass.
    """

    def __init__(self, cache: Cache, lengths: Sequence[int], device: torch.device) -> None:
        self.cache = cache
        self.count = len(lengths)
        self.longest = max(lengths) + 1
        self.even = min(lengths) + 1 == self.longest
        self.rows = torch.arange(self.count, device=device)
        self.positions = torch.tensor(lengths, device=device)
        self.masks: dict[tuple[int | None, torch.dtype], Tensor | None] = {}

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, shape: Shape) -> Tensor:
        """See `Plan`."""
        keys, values = self.cache.layer(layer, key, value)
        keys[self.rows, :, self.positions] = key.transpose(0, 1)
        values[self.rows, :, self.positions] = value.transpose(0, 1)
        seen_keys = keys[: self.count, :, : self.longest]
        seen_values = values[: self.count, :, : self.longest]
        # The heads that share keys and values stand where several queries of a sequence would.
        grouped = query.transpose(0, 1).reshape(self.count, keys.shape[1], -1, query.shape[-1])
        found = attention(grouped, seen_keys, seen_values, self._mask(shape.window, query.dtype), shape, causal=False)
        return found.reshape(self.count, query.shape[0], -1)

    def _mask(self, window: int | None, dtype: torch.dtype) -> Tensor | None:
        if window is not None and window >= self.longest:
            window = None
        if window is None and self.even:
            return None
        if (window, dtype) not in self.masks:
            places = torch.arange(self.longest, device=self.positions.device)
            last = self.positions.unsqueeze(1)
            seen = places <= last
            if window is not None:
                seen &= places > last - window
            self.masks[window, dtype] = additive(seen, dtype)[:, None, None]
        return self.masks[window, dtype]


class JoinedPlan:
    """Tokens of a pass that go by one plan, and then those of another.

    Args:
        first: plan of the first tokens.
        count: how many they are.
        second: plan of the others.
    """

    def __init__(self, first: Plan, count: int, second: Plan) -> None:
        self.first = first
        self.count = count
        self.second = second

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, shape: Shape) -> Tensor:
        """See `Plan`."""
        count = self.count
        early = self.first.attend(layer, query[:, :count], key[:, :count], value[:, :count], shape)
        late = self.second.attend(layer, query[:, count:], key[:, count:], value[:, count:], shape)
        return torch.cat([early, late])


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where something is seen, and minus infinity where not."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, shape: Shape, causal: bool = True
) -> Tensor:
    """Return softmax(scale Q K^T + mask) V, rows x heads x tokens x width.

    Args:
        query: rows x heads x tokens x width.
        key: the same with as many heads or fewer, each shared by consecutive heads of the queries.
        value: as the keys.
        mask: added to the scores, rows x 1 x tokens x keys; None where all is seen, or all before.
        shape: scale and cap of the scores; the window is in the mask.
        causal: whether without a mask a token sees those before it only.
    """
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key = key.repeat_interleave(repeats, dim=1)
        value = value.repeat_interleave(repeats, dim=1)
    if shape.cap is None:
        plain = causal and mask is None and query.shape[2] > 1
        return nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=plain, scale=shape.scale
        )
    scores = torch.tanh(query @ key.mT * shape.scale / shape.cap) * shape.cap
    if mask is not None:
        scores = scores + mask
    elif causal:
        tokens = query.shape[2]
        scores = scores + torch.full((tokens, tokens), -torch.inf, dtype=scores.dtype, device=scores.device).triu(1)
    return scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value


class _Current:
    """The plan of the pass that runs, and the windows that its layers asked for."""

    plan: Plan | None = None
    windows: dict[int, int | None]


_CURRENT = _Current()


@contextmanager
def planned(plan: Plan) -> Iterator[dict[int, int | None]]:
    """Let attention inside the block go by a plan; yields the window that each layer asks for, by its number."""
    _CURRENT.plan = plan
    _CURRENT.windows = {}
    try:
        yield _CURRENT.windows
    finally:
        _CURRENT.plan = None


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention for transformers' interface, 1 x heads x tokens x width of each.

    Raises:
        UnsupportedError: the model asks for something that is not known here.
    """
    plan = _CURRENT.plan
    if plan is None:
        raise RuntimeError("the model is run without a plan of its tokens: close the engine first")
    scale = options.pop("scaling", None)
    window = options.pop("sliding_window", None)
    cap = options.pop("softcap", None)
    more = [name for name, value in options.items() if value is not None and name not in HARMLESS]
    if attention_mask is not None or more or query.shape[0] != 1 or options.get("is_causal") is False:
        raise UnsupportedError(f"its attention takes {', '.join(more) or 'a mask of its own'}")
    layer = getattr(module, "layer_idx", None)
    if layer is None:
        raise UnsupportedError("its attention does not know its layer's number")
    _CURRENT.windows[layer] = window
    shape = Shape(query.shape[-1] ** -0.5 if scale is None else scale, window, cap)
    return plan.attend(layer, query[0], key[0], value[0], shape).unsqueeze(0), None


AttentionInterface.register(NAME, attend)
