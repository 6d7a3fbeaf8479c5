"""The token budget: what it makes of memory that is short."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grads.data.records.formatting import Example
from grads.models.memory import free_memory, out_of_memory
from grads.probing import budget as module
from grads.probing.budget import Budget, trials
from grads.probing.gradients.passes import Pass
from grads.probing.measure import measure, on_places
from grads.runtime.errors import GradsError

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 9000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    MemoryError(),
]
CPU = torch.device("cpu")


def fail_above(monkeypatch: pytest.MonkeyPatch, tokens: int, error: BaseException) -> list[list[str]]:
    """Let batches of more tokens run out of memory; return the list that will hold the ids of those that went well."""
    original, went = Pass.measure, []

    def limited(self: Pass, examples: Any) -> Any:
        if len(examples) * max(len(example.input_ids) for example in examples) > tokens:
            raise error
        went.append([example.id for example in examples])
        return original(self, examples)

    monkeypatch.setattr(Pass, "measure", limited)
    return went


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_budget_and_goes_on_with_the_same_records(
    error: BaseException,
    llama: nn.Module,
    examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = measure(llama, examples, ["gradients", "hidden"], 10_000, 0)
    went = fail_above(monkeypatch, 50, error)
    budget, found = Budget(400), {}
    with Pass(llama, ["gradients", "hidden"], 0).ready(examples[0]) as ready:
        for batch, part in budget.batches(examples, on_places(ready, examples)):
            found |= {place: part.columns["head_l2"][row] for row, place in enumerate(batch)}
    assert sorted(id_ for batch in went for id_ in batch) == sorted(example.id for example in examples)
    np.testing.assert_allclose([found[place] for place in range(len(examples))], expected.columns["head_l2"], rtol=1e-4)
    lowered = [(one["before"], one["token_budget"]) for one in budget.deviations]
    assert lowered[0][0] == 400
    assert [after for _, after in lowered[:-1]] == [before for before, _ in lowered[1:]]
    assert budget.tokens == lowered[-1][1] <= 50
    assert {one["reason"] for one in budget.deviations} == {"memory ran out"}
    assert "token budget 400 -> " in capsys.readouterr().err


def test_torch_itself_says_so_in_the_words_that_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    assert out_of_memory(caught.value)


def test_a_record_that_does_not_fit_alone_is_named(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_above(monkeypatch, 1, ERRORS[0])
    longest = max(examples, key=lambda example: len(example.input_ids))
    with pytest.raises(GradsError, match=rf"record {longest.id} of {len(longest.input_ids)} tokens .*training\.max_l"):
        measure(llama, examples, ["gradients"], 400, 0)


def test_other_errors_are_not_taken_for_it(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_above(monkeypatch, 1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        measure(llama, examples, ["gradients"], 400, 0)


class Memory:
    """A device of so many free bytes, on which a batch takes some bytes a token, padding included, a record, and once.

    What it says is the most since it was watched, as on a real one. Batches that were measured are kept as places.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, free: int | None, token: int, record: int = 0, once: int = 0
    ) -> None:
        self.token, self.record, self.once, self.most = token, record, once, 0
        self.batches: list[list[int]] = []
        monkeypatch.setattr(module, "free_memory", lambda _device: free)
        monkeypatch.setattr(module, "watch_memory", self.watch)

    def watch(self, _device: torch.device) -> Callable[[], int]:
        self.most = 0
        return lambda: self.most

    def work(self, examples: list[Example]) -> Callable[[list[int]], str]:
        def measure(places: list[int]) -> str:
            self.batches.append(places)
            tokens = len(places) * max(len(examples[place].input_ids) for place in places)
            self.most = max(self.most, self.once + tokens * self.token + len(places) * self.record)
            self.once = 0
            return "done"

        return measure


def of_lengths(*lengths: int, prompt: int = 1) -> list[Example]:
    return [Example(str(place), [1] * length, prompt) for place, length in enumerate(lengths)]


def test_the_budget_is_lowered_to_what_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = of_lengths(*[10] * 40)
    plenty, memory = Budget(200), Memory(monkeypatch, 10_000, 1)
    plenty.fit(CPU, examples, memory.work(examples))
    assert (plenty.tokens, plenty.deviations) == (200, [])
    # 80 % of 10,000 bytes hold 100 tokens of 80 bytes.
    short, memory = Budget(200), Memory(monkeypatch, 10_000, 80)
    short.fit(CPU, examples, memory.work(examples))
    assert [(one["before"], one["token_budget"]) for one in short.deviations] == [(200, 100)]
    memory.batches.clear()
    found = [batch for batch, _ in short.batches(examples, memory.work(examples))]
    assert [len(batch) for batch in found] == [10, 10, 10, 10]
    assert memory.batches == found
    # A record is never too long for a batch of its own.
    least, memory = Budget(200), Memory(monkeypatch, 10, 80)
    least.fit(CPU, examples, memory.work(examples))
    assert least.tokens == 10
    unknown, memory = Budget(200), Memory(monkeypatch, None, 80)
    unknown.fit(CPU, examples, memory.work(examples))
    assert unknown.tokens == 200


def test_what_short_records_take_counts_where_it_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole gradients, say, take memory by the record and not by the token."""
    examples = of_lengths(100, *[5] * 100)
    budget, memory = Budget(400), Memory(monkeypatch, 10_000, 1, 200)
    budget.fit(CPU, examples, memory.work(examples))
    # A token of a record of 5 takes 41 bytes, one of the longest record 3.
    assert budget.tokens == int(0.8 * 10_000 / 41) == 195
    assert [len(batch) for batch, _ in budget.batches(examples, memory.work(examples))] == [1, 39, 39, 22]
    assert 39 * (200 + 5) <= 0.8 * 10_000


def test_what_is_made_only_once_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = of_lengths(*[10] * 40)
    budget, memory = Budget(200), Memory(monkeypatch, 10_000, 20, once=5_000)
    budget.fit(CPU, examples, memory.work(examples))
    assert budget.tokens == 200


def test_the_longest_answer_is_tried_too() -> None:
    examples = [*of_lengths(12, 4, 4, 4, prompt=3), Example("answer", [1] * 11, 1)]
    assert trials(examples, 100) == [[0], [3, 2, 1], [4, 0]]
    # No batch of short records is tried that the budget would not allow.
    assert trials(of_lengths(12, 4, 4, 5, prompt=3), 12) == [[2, 1], [0]]


def test_a_single_batch_needs_no_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    for examples, tokens in ((of_lengths(10), 200), (of_lengths(10, 10), 10), ([], 200)):
        memory = Memory(monkeypatch, 10, 80)
        Budget(tokens).fit(CPU, examples, memory.work(examples))
        assert memory.batches == []


LOWERED = """
import json, sys
import torch
from grads.runtime.libraries import settle_libraries

settle_libraries()
from grads.data.records.formatting import Example
from grads.models.memory import free_memory
from grads.models.load import load_model
from grads.probing import budget as module
from grads.probing.measure import measure

module.free_memory = lambda _device: int(sys.argv[2])
budget = module.Budget(8192)
examples = [Example(str(n), [5 + n % 90] * 256, 2) for n in range(64)]
measure(load_model(sys.argv[1], "float32"), examples, ["gradients"], budget, 0, ahead=examples)
print(json.dumps([budget.tokens, budget.deviations]))
"""


@pytest.mark.skipif(free_memory(CPU) is None, reason="this system does not say how much memory is free")
def test_memory_that_a_job_keeps_does_not_hide_what_a_batch_takes(tiny_model_folder: Path) -> None:
    """A job's process keeps what is freed, so that a second trial takes nothing that the kernel would see."""
    found = []
    for free in (60 * 2**20, 2**40):
        command = [sys.executable, "-c", LOWERED, str(tiny_model_folder), str(free)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        found.append(json.loads(run.stdout))
    (short, deviations), plenty = found
    assert 256 <= short < 8192
    assert [one["reason"] for one in deviations] == ["what a token takes of the memory"]
    assert plenty == [8192, []]


def test_a_run_that_goes_on_makes_the_batches_of_one_that_was_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = of_lengths(*[10] * 40)
    budget, memory = Budget(200), Memory(monkeypatch, 10_000, 80)
    budget.fit(CPU, examples, memory.work(examples))
    again = Budget(200)
    again.restore(budget.state())
    batches = [[batch for batch, _ in one.batches(examples, memory.work(examples))] for one in (budget, again)]
    assert batches[0] == batches[1]
    assert again.deviations == budget.deviations
    smaller = Budget(50)
    smaller.restore(budget.state())
    assert smaller.tokens == 50
