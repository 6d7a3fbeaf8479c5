"""Token sequences that begin alike, as trees: each shared beginning is computed once, and the rest as branches of it.

An item of a benchmark asks for the log-probabilities of several choices after one context, and items of a task have
their worked examples in common. What counts is the tokens that sequences begin with, whatever they were made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# A sequence joins a tree if at least this share of its tokens is there already: less saves nothing that pays for the
# larger mask.
SHARED = 1 / 4
# Tokens of a tree: a mask has its square.
LARGEST = 4096


@dataclass
class Tree:
    """Tokens that several sequences are made of, each before all that follow it.

    Attributes:
        tokens: their ids.
        parents: of each the place of the one before it, -1 of the first.
        depths: of each its position in its sequences.
        paths: for each sequence, by its number, the places of its tokens.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    paths: dict[int, list[int]] = field(default_factory=dict)

    @property
    def branches(self) -> bool:
        """Whether it is more than one plain sequence."""
        return any(parent != place - 1 for place, parent in enumerate(self.parents))

    def add(self, number: int, sequence: Sequence[int], shared: Sequence[int]) -> None:
        """Add a sequence, the places of whose first tokens are known."""
        path = list(shared)
        for token in sequence[len(shared) :]:
            self.tokens.append(token)
            self.parents.append(path[-1] if path else -1)
            self.depths.append(len(path))
            path.append(len(self.tokens) - 1)
        self.paths[number] = path


def plant(sequences: Mapping[int, Sequence[int]], largest: int) -> list[Tree]:
    """Return the trees of some sequences, which are found in them by their numbers.

    Args:
        sequences: token ids by number.
        largest: most tokens of a tree of several sequences.
    """
    largest = min(largest, LARGEST)
    trees: list[Tree] = []
    before: Sequence[int] = ()
    path: list[int] = []
    # In this order a sequence has the longest beginning in common with its neighbour.
    for number in sorted(sequences, key=lambda number: tuple(sequences[number])):
        sequence = sequences[number]
        shared = _common(before, sequence)
        joins = bool(trees) and shared >= max(1, SHARED * len(sequence))
        if not joins or len(trees[-1].tokens) + len(sequence) - shared > largest:
            trees.append(Tree())
            shared = 0
        trees[-1].add(number, sequence, path[:shared] if shared else ())
        before = sequence
        path = trees[-1].paths[number]
    return trees


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their beginning."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
