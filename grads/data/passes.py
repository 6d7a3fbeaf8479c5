"""How sequences go through a model: their lengths, the batches they are put into, and the padding that these have."""

import math
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from heapq import heappop, heappush

from grads.data.batches import token_budget_batches


@dataclass(frozen=True)
class Passes:
    """Sequences that go through a model in batches, or answers that are generated in batches.

    Attributes:
        sequences: how many.
        tokens: of all of them, without padding.
        padded: of all batches, padding included: rows x the longest; of answers, rows x steps.
        batches: how often the model is called; of answers, the steps of all batches.
    """

    sequences: int = 0
    tokens: int = 0
    padded: int = 0
    batches: int = 0

    def __add__(self, other: "Passes") -> "Passes":
        """Return both together."""
        return Passes(
            self.sequences + other.sequences,
            self.tokens + other.tokens,
            self.padded + other.padded,
            self.batches + other.batches,
        )

    def times(self, count: int) -> "Passes":
        """Return the same passes, so many times."""
        return Passes(count * self.sequences, count * self.tokens, count * self.padded, count * self.batches)


@dataclass(frozen=True)
class Lengths:
    """How many sequences there are of each length in tokens, the longest first."""

    counts: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, lengths: Iterable[int]) -> "Lengths":
        """Return the lengths of some sequences."""
        return cls.of_counts(Counter(lengths))

    @classmethod
    def of_counts(cls, counts: Mapping[int, int]) -> "Lengths":
        """Return the lengths of which so many each are counted."""
        return cls(tuple(sorted(counts.items(), reverse=True)))

    @classmethod
    def even(cls, sequences: int, longest: int) -> "Lengths":
        """Return lengths that are spread evenly up to the longest: what is taken where none are counted."""
        return _even(sequences, longest)

    @classmethod
    def parsed(cls, counts: object) -> "Lengths | None":
        """Return what `as_json` returned; None where it is something else."""
        if not isinstance(counts, Mapping):
            return None
        found = {int(length): count for length, count in counts.items() if str(length).isdigit()}
        if len(found) != len(counts) or not all(isinstance(count, int) for count in found.values()):
            return None
        return cls.of_counts(found)

    def as_json(self) -> dict[str, int]:
        """Return the counts by length, as JSON has them."""
        return {str(length): count for length, count in self.counts}

    @cached_property
    def sequences(self) -> int:
        """How many there are."""
        return sum(count for _length, count in self.counts)

    @cached_property
    def tokens(self) -> int:
        """Tokens of all together."""
        return sum(length * count for length, count in self.counts)

    @property
    def longest(self) -> int:
        """Tokens of the longest; 0 where there is none."""
        return self.counts[0][0] if self.counts else 0

    @property
    def mean(self) -> float:
        """Tokens of one, on average; 0 where there is none."""
        return self.tokens / max(1, self.sequences)

    def longer(self, tokens: int) -> "Lengths":
        """Return the lengths of the same sequences, each so many tokens longer."""
        return Lengths(tuple((length + tokens, count) for length, count in self.counts))

    def at_most(self, tokens: int) -> "Lengths":
        """Return the lengths of the same sequences, cut at so many tokens."""
        cut: Counter[int] = Counter()
        for length, count in self.counts:
            cut[min(length, tokens)] += count
        return Lengths.of_counts(cut)

    def scaled(self, sequences: int) -> "Lengths":
        """Return so many sequences that are as long as these are."""
        return self if sequences == self.sequences or not self.counts else _scaled(self, sequences)

    def listed(self) -> list[int]:
        """Return the length of each sequence, the longest first."""
        return [length for length, count in self.counts for _ in range(count)]

    def longest_of(self, rows: int) -> float:
        """Return the length of the longest of so many that are drawn without repeats, expected.

        It is the sum of P(longest > l) over all l: 1 less the share of draws of which none is longer.
        """
        total = self.sequences
        rows = min(rows, total)
        expected = 0.0
        shorter = total
        for place, (length, count) in enumerate(self.counts):
            shorter -= count
            below = self.counts[place + 1][0] if place + 1 < len(self.counts) else 0
            none = math.prod(max(0, shorter - drawn) / (total - drawn) for drawn in range(rows))
            expected += (length - below) * (1 - none)
        return expected

    def under_budget(self, budget: int, tight: bool = False) -> Passes:
        """Return the passes of batches under a token budget, see `token_budget_batches`."""
        return _under_budget(self, budget, tight)

    def packed(self, budget: int) -> Passes:
        """Return the passes of batches under a token budget that have no padding."""
        batches = self.under_budget(budget)
        return replace(batches, padded=batches.tokens)

    def in_rows(self, rows: int) -> Passes:
        """Return the passes of batches of so many sequences, the longest first."""
        flat = self.listed()
        batches = [flat[start : start + rows] for start in range(0, len(flat), rows)]
        return Passes(len(flat), sum(flat), sum(len(batch) * batch[0] for batch in batches), len(batches))

    def drawn(self, visits: int, rows: int) -> Passes:
        """Return the expected passes of so many visits in random order, so many in a batch.

        Whole rounds have the tokens of all sequences; a part of a round has its share.
        """
        if not self.counts or not visits:
            return Passes()
        tokens = round(visits * self.tokens / self.sequences)
        whole = visits // rows
        rest = visits % rows
        padded = whole * rows * self.longest_of(rows) + (rest * self.longest_of(rest) if rest else 0.0)
        return Passes(visits, tokens, max(tokens, round(padded)), whole + bool(rest))

    def joined(self, visits: int, rows: int) -> Passes:
        """Return the expected passes of so many visits in random order, so many in a batch that has no padding."""
        drawn = self.drawn(visits, rows)
        return replace(drawn, padded=drawn.tokens)


@dataclass(frozen=True)
class Written:
    """Passes of a model that writes answers.

    Attributes:
        prompting: passes that have prompts alone; tokens of all prompts.
        answering: passes that have the next tokens of answers, be it with prompts; those tokens.
    """

    prompting: Passes
    answering: Passes


@lru_cache(maxsize=1024)
def written(prompts: Lengths, answers: Lengths, rows: int, budget: int) -> Written:
    """Return the passes of answers of which each that ends makes room for the next prompt, the longest prompts first.

    A prompt's pass gives the first token of its answer. Which answer is whose is not known: they are shuffled.

    Args:
        prompts: tokens of each prompt.
        answers: tokens of each answer, what ends it included; as many.
        rows: most answers at a time.
        budget: most tokens of the prompts of a pass, where it has several.
    """
    lengths = [max(1, length) for length in answers.listed()]
    random.Random(0).shuffle(lengths)
    queue = deque(zip(prompts.listed(), lengths, strict=True))
    passed = 0
    alone = 0
    # Of the answers in progress, how many passes there are when each has ended.
    ends: list[int] = []
    while queue:
        while ends and ends[0] <= passed:
            heappop(ends)
        if len(ends) == rows:
            passed = ends[0]
            continue
        alone += not ends
        tokens = 0
        fresh = 0
        while queue and len(ends) < rows and (not fresh or tokens + queue[0][0] <= budget):
            prompt, answer = queue.popleft()
            tokens += prompt
            fresh += 1
            heappush(ends, passed + answer)
        passed += 1
    steps = max([passed, *ends]) - alone
    held = sum(lengths) - len(lengths)
    return Written(
        Passes(prompts.sequences, prompts.tokens, prompts.tokens, alone),
        Passes(len(lengths), sum(lengths), held, steps),
    )


NO_PASSES = Passes()
NO_LENGTHS = Lengths()


@lru_cache(maxsize=256)
def _even(sequences: int, longest: int) -> Lengths:
    return Lengths.of(-(-longest * number // sequences) for number in range(1, sequences + 1))


@lru_cache(maxsize=256)
def _scaled(lengths: Lengths, sequences: int) -> Lengths:
    flat = lengths.listed()
    return Lengths.of(flat[(2 * number + 1) * len(flat) // (2 * sequences)] for number in range(sequences))


@lru_cache(maxsize=1024)
def _under_budget(lengths: Lengths, budget: int, tight: bool) -> Passes:
    flat = lengths.listed()
    batches = token_budget_batches(flat, budget, tight)
    padded = sum(len(batch) * max(1, flat[batch[0]]) for batch in batches)
    return Passes(len(flat), sum(flat), padded, len(batches))
