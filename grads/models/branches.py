"""Token sequences joined into one row without padding, what several of them begin with held once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grads.models.causal import hidden_states, unwrap
from grads.models.cpu.interface import LONGEST, NAME, UnbranchedError

# Tokens that sequences must have in common before they share them: fewer are not worth a node.
SHARED = 8
# The relative distance up to which states of a row are those of its sequences, by the type of the weights.
ALLOWED = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.05}


@dataclass(frozen=True)
class Row:
    """Sequences of tokens as one row of T tokens.

    Attributes:
        ids: T, int64.
        positions: T; the place of a token in the sequences that it belongs to.
        nodes: N x 3, see `grads.models.cpu.branching`.
        places: of each sequence, where in the row its tokens are.
    """

    ids: Tensor
    positions: Tensor
    nodes: Tensor
    places: tuple[Tensor, ...]


class _Builder:
    """Lays sequences out as a row."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self.sequences = [list(one) for one in sequences]
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.nodes: list[tuple[int, int, int]] = []
        self.paths: list[list[int]] = [[] for _ in sequences]

    def add(self, members: list[int], start: int, stop: int, parent: int | None) -> int:
        """Add a node: tokens `start` to `stop` of the members, which have them in common; return its number."""
        first = len(self.ids)
        number = len(self.nodes)
        self.ids += self.sequences[members[0]][start:stop]
        self.positions += range(start, stop)
        self.nodes.append((first, len(self.ids), number if parent is None else parent))
        for member in members:
            self.paths[member].append(number)
        return number

    def branch(self, members: list[int], start: int, parent: int | None) -> None:
        """Add what the members have from `start` on; all that comes before is laid out."""
        by_next: dict[int, list[int]] = {}
        for member in members:
            if start < len(self.sequences[member]):
                by_next.setdefault(self.sequences[member][start], []).append(member)
        for group in by_next.values():
            common = _common([self.sequences[member] for member in group])
            if len(group) > 1 and common - start >= SHARED:
                self.branch(group, common, self.add(group, start, common, parent))
                continue
            for member in group:
                self.add([member], start, len(self.sequences[member]), parent)

    def row(self) -> Row:
        """Return the row."""
        spans = [range(start, stop) for start, stop, _parent in self.nodes]
        return Row(
            ids=torch.tensor(self.ids),
            positions=torch.tensor(self.positions),
            nodes=torch.tensor(self.nodes).reshape(-1, 3),
            places=tuple(torch.tensor([place for node in path for place in spans[node]]) for path in self.paths),
        )


def _common(sequences: list[list[int]]) -> int:
    """Return how many tokens all sequences begin with: as many as the first and the last in their order."""
    pairs = zip(min(sequences), max(sequences), strict=False)
    length = min(map(len, sequences))
    return next((place for place, (one, other) in enumerate(pairs) if one != other), length)


def row_of(sequences: Sequence[Sequence[int]]) -> Row:
    """Return sequences of token ids, none empty, as a row."""
    builder = _Builder(sequences)
    builder.branch(list(range(len(sequences))), 0, None)
    return builder.row()


def row_states(model: nn.Module, row: Row) -> Tensor:
    """Return the decoder's last hidden states of a row, T x width.

    The model's attention must be ours (`quick_attention`), and no sequence longer than `longest_row`.
    """
    place = unwrap(model).get_input_embeddings().weight.device
    return hidden_states(
        model,
        input_ids=row.ids.to(place).unsqueeze(0),
        position_ids=row.positions.to(place).unsqueeze(0),
        use_cache=False,
        branches=row.nodes,
    )[0]


def longest_row(model: nn.Module) -> int:
    """Return the most tokens of a sequence of a row: beyond it a layer sees a part of what came before only."""
    config: Any = unwrap(model).config.get_text_config()
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min([LONGEST, *(window for window in windows if isinstance(window, int))])


@torch.no_grad()
def branches(model: nn.Module, sequences: Sequence[Sequence[int]]) -> bool:
    """Return whether a model computes a row's sequences as it computes each alone, tried on a few.

    Some models tell positions otherwise than by `position_ids`, or attend by code of their own.

    Args:
        model: in evaluation mode, with our attention.
        sequences: some to try, of any length; their beginnings are taken.
    """
    config: Any = unwrap(model).config
    if config._attn_implementation != NAME:
        return False
    most = min(48, longest_row(model))
    heads = [list(one[:most]) for one in sequences[:3]]
    # Two that part in their middle, whatever the records are.
    heads.append([*heads[0][: most // 2], *reversed(heads[0][: most // 2])])
    row = row_of(heads)
    try:
        states = row_states(model, row)
    except (UnbranchedError, TypeError):
        return False
    for sequence, places in zip(heads, row.places, strict=True):
        alone = hidden_states(model, input_ids=torch.tensor([sequence], device=states.device), use_cache=False)[0]
        distance = (states[places] - alone).float().norm() / alone.float().norm()
        if not distance <= ALLOWED.get(states.dtype, 1e-3):
            return False
    return True
