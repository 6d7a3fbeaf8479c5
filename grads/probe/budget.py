"""How many tokens a batch may have, on the device that is there.

Records go longest first, so the first batches are the ones that take most memory. The very first holds the longest
record alone: what it takes says whether the budget asked for will fit, and the budget is lowered beforehand where it
would not. Where memory runs out all the same, the budget is halved and the same records are measured again. Budgets
change no value beyond rounding; all that happened to one is recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from grads.data.batches import next_batch
from grads.data.formatting import Example
from grads.models.memory import free_memory, most_memory
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

# Share of the free memory that a batch may take.
SHARE = 0.8
# Records that are measured alone before the budget is lowered: the first also pays for what is made only once.
TRIALS = 2

T = TypeVar("T")


@dataclass
class Budget:
    """Most tokens, padding included, in one batch; it falls where memory is short.

    Attributes:
        tokens: the budget.
        device: where the memory is; None: do not look beforehand.
        trials: records that may still be measured alone to see what they take.
        deviations: what lowered the budget, as JSON values.
    """

    tokens: int
    device: torch.device | None = None
    trials: int = TRIALS
    deviations: list[dict[str, Any]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON values."""
        return {"token_budget": self.tokens, "trials": self.trials, "deviations": self.deviations}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a run was stopped, so that its batches are those of a run that never was."""
        self.tokens = min(self.tokens, state["token_budget"])
        self.trials, self.deviations = state["trials"], list(state["deviations"])

    def batch(self, left: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """Return the next of the indices that are left, longest first."""
        whole = next_batch(left, lengths, self.tokens, tight=True)
        return whole[:1] if self._tries() else whole

    def attempt(self, examples: Sequence[Example], work: Callable[[], T]) -> T | None:
        """Return what the work on a batch gives, or None where memory ran out, after lowering the budget.

        Raises:
            GradsError: memory ran out on a single record.
        """
        try:
            return self._watched(examples, work) if self._tries() else work()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # Only here is the failed pass forgotten and its memory free.
        self._halve(examples)
        return None

    def _tries(self) -> bool:
        return self.device is not None and self.trials > 0

    def _watched(self, examples: Sequence[Example], work: Callable[[], T]) -> T:
        assert self.device is not None
        free = free_memory(self.device)
        result, taken = most_memory(self.device, work)
        self.trials -= 1
        if free is None or taken is None:
            self.trials = 0
            return result
        tokens = len(examples[0].input_ids)
        fitting = int(SHARE * free * tokens / max(1, taken))
        if fitting >= self.tokens:
            self.trials = 0
        elif self.trials == 0:
            self._lower(max(tokens, fitting), "what one record takes of the memory")
        return result

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


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or for torch's allocator on the CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
