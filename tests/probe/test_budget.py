"""The token budget: what it makes of memory that is short."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grads.data.formatting import Example
from grads.probe import budget as module
from grads.probe.budget import Budget, out_of_memory
from grads.probe.measure import each_batch, measure
from grads.probe.passes import Pass
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
        for batch, part in each_batch(ready, examples, budget):
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


def watch(monkeypatch: pytest.MonkeyPatch, free: int, per_token: int) -> Callable[[Budget], list[int]]:
    """Let a token take so many bytes; return what runs made-up records of 10 tokens and gives the batches' sizes."""
    monkeypatch.setattr(module, "free_memory", lambda _device: free)
    monkeypatch.setattr(module, "most_memory", lambda _device, work: (work(), 10 * per_token))

    def run(budget: Budget) -> list[int]:
        left, sizes = list(range(40)), []
        while left:
            batch = budget.batch(left, [10] * 40)
            assert budget.attempt([Example(str(i), [1] * 10, 1) for i in batch], lambda: "done") == "done"
            sizes.append(len(batch))
            left = left[len(batch) :]
        return sizes

    return run


def test_the_longest_record_alone_says_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = Budget(200, CPU)
    assert watch(monkeypatch, 10_000, 1)(plenty) == [1, 20, 19]
    assert plenty.deviations == []
    # 80 % of 10,000 bytes hold 100 tokens of 80 bytes; a second record is asked, for the first also pays for the start.
    short = Budget(200, CPU)
    assert watch(monkeypatch, 10_000, 80)(short) == [1, 1, 10, 10, 10, 8]
    assert [(one["before"], one["token_budget"]) for one in short.deviations] == [(200, 100)]
    # A record is never too long for a batch of its own.
    least = Budget(200, CPU)
    assert set(watch(monkeypatch, 10, 80)(least)) == {1}
    assert least.tokens == 10
    unknown = Budget(200, CPU)
    monkeypatch.setattr(module, "free_memory", lambda _device: None)
    assert unknown.attempt([Example("a", [1] * 10, 1)], lambda: 5) == 5
    assert (unknown.trials, unknown.tokens) == (0, 200)


def test_a_run_that_goes_on_makes_the_batches_of_one_that_was_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    run = watch(monkeypatch, 10_000, 80)
    budget = Budget(200, CPU)
    run(budget)
    again = Budget(200, CPU)
    again.restore(budget.state())
    assert run(again)[0] == 10
    assert again.deviations == budget.deviations
    smaller = Budget(50, CPU)
    smaller.restore(budget.state())
    assert smaller.tokens == 50
