"""How many tokens a batch may have, on the device that is there.

Before the first batch a few small ones of the worst kinds are tried: what a token takes in them says whether the budget
asked for will fit, and it is lowered beforehand where it would not. Where memory runs out all the same, the budget is
halved and the same records are measured again. Budgets change no value beyond rounding; all that happened to one is
recorded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from grads.data.batches import longest_first, next_batch
from grads.data.records.formatting import Example
from grads.models.memory import free_memory, out_of_memory, watch_memory
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

# Share of the free memory that a batch may take.
SHARE = 0.8

T = TypeVar("T")
# Measures the records at some places.
Work = Callable[[list[int]], T]


@dataclass
class Budget:
    """Most tokens, padding included, in one batch; it falls where memory is short.

    Attributes:
        tokens: the budget.
        deviations: what lowered the budget, as JSON values.
    """

    tokens: int
    deviations: list[dict[str, Any]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON values."""
        return {"token_budget": self.tokens, "deviations": list(self.deviations)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a run was stopped, so that its batches are those of a run that never was."""
        self.deviations = list(state["deviations"])
        # A budget that memory lowered stays low; one that was only another number is forgotten.
        if self.deviations:
            self.tokens = min(self.tokens, state["token_budget"])

    def fit(self, device: torch.device, examples: Sequence[Example], work: Work[Any]) -> None:
        """Lower the budget to what the memory of a device holds, by what `trials` among the records take of it.

        What the trials give is thrown away.

        Raises:
            GradsError: memory ran out on a single record.
        """
        lengths = [len(example.input_ids) for example in examples]
        longest = max(lengths, default=0)
        if min(self.tokens, sum(lengths)) <= longest:
            return
        # It pays for what is made only once: the shortest records, alone and two together.
        for count in (1, 2):
            self._attempt(examples, longest_first(lengths)[-count:], work)
        free = free_memory(device)
        most = watch_memory(device)
        dearest = 0.0
        if free is None:
            return
        for trial in trials(examples, self.tokens):
            if self._attempt(examples, trial, work) is None or (taken := most()) is None:
                return
            # Trials grow, so one that takes no more than an earlier one was cheaper by the token, too.
            dearest = max(dearest, taken / padded(lengths, trial))
        fitting = int(SHARE * free / max(1.0, dearest))
        if fitting < self.tokens:
            self._lower(max(longest, fitting), "what a token takes of the memory")

    def batches(self, examples: Sequence[Example], work: Work[T]) -> Iterator[tuple[list[int], T]]:
        """Yield the places of a batch's records and what the work on them gives, until all are done.

        Whatever the budget does on the way, the records that are left are the longest first, so that going on with them
        later gives the same batches.
        """
        lengths = [len(example.input_ids) for example in examples]
        order = longest_first(lengths)
        done = 0
        while done < len(order):
            batch = next_batch(order[done : done + self.tokens], lengths, self.tokens, tight=True)
            found = self._attempt(examples, batch, work)
            if found is not None:
                done += len(batch)
                yield batch, found

    def _attempt(self, examples: Sequence[Example], batch: list[int], work: Work[T]) -> T | None:
        """Return what the work on a batch gives, or None where memory ran out, after lowering the budget."""
        try:
            return work(batch)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # Only here is the failed pass forgotten and its memory free.
        self._halve([examples[place] for place in batch])
        return None

    def _halve(self, examples: Sequence[Example]) -> None:
        longest = max(len(example.input_ids) for example in examples)
        if len(examples) == 1:
            raise GradsError(
                f"record {examples[0].id} of {longest} tokens does not fit into the memory by itself: lower "
                "training.max_length, probe in bf16, or give the job more memory"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._lower(min(self.tokens, len(examples) * longest) // 2, "memory ran out")

    def _lower(self, tokens: int, reason: str) -> None:
        self.deviations.append({"token_budget": tokens, "before": self.tokens, "reason": reason})
        say(f"token budget {self.tokens} -> {tokens}: {reason}")
        self.tokens = tokens


def trials(examples: Sequence[Example], budget: int) -> list[list[int]]:
    """Return small batches, as places, one of which takes as much memory a token as any batch of the records may.

    Each takes records from the front of an order until it has as many tokens as the longest record, or no more would
    fit the budget: those with the longest answers (logits), the longest (attention), and the shortest (whatever is made
    once a record). They grow in tokens, padding included.
    """
    lengths = [len(example.input_ids) for example in examples]
    least = max(lengths)
    falling = longest_first(lengths)
    orders = longest_first([example.response_tokens for example in examples]), falling, falling[::-1]
    found: list[list[int]] = []
    for order in orders:
        batch = order[:1]
        for place in order[1:]:
            if padded(lengths, batch) >= least or padded(lengths, [*batch, place]) > budget:
                break
            batch.append(place)
        if batch not in found:
            found.append(batch)
    return sorted(found, key=lambda batch: padded(lengths, batch))


def padded(lengths: Sequence[int], batch: Sequence[int]) -> int:
    """Return the tokens of a batch of some of the lengths, padding included."""
    return len(batch) * max(lengths[place] for place in batch)
