"""Whether a record's numbers depend on the other records of its batch: the check finds where, and only there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

from grads.data.records.formatting import Example
from grads.probing import invariance
from grads.probing.invariance import batch_errors, relative_errors
from grads.probing.tolerances import SAME, batch_tolerance, rough
from grads.signals.columns import columns
from grads.signals.measured import Measured

SIGNALS = ["gradients", "mean_abs", "adapter", "hidden", "sgd_features"]


def test_a_model_that_is_right_is_within_the_tolerance(
    llama: nn.Module, with_adapter: Callable[[nn.Module], nn.Module], examples: list[Example]
) -> None:
    found = batch_errors(with_adapter(llama), examples, SIGNALS, 0)
    assert set(found) == {*columns(SIGNALS), "hidden", "sgd_features"}
    assert 0 < max(found.values()) <= SAME


def test_each_way_to_batch_is_tried(llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    real = invariance.measure

    def watched(model: Any, some: list[Example], measures: Any, budget: int, padding: int, **options: Any) -> Measured:
        tried.append((some[0].id, budget, options.pop("compiled", False)))
        return real(model, some, measures, budget, padding, **options)

    monkeypatch.setattr(invariance, "measure", watched)
    batch_errors(llama, examples, ["losses"], 0, compiled=True)
    longest = max(len(example.input_ids) for example in examples)
    first, last, some, all_ = examples[0].id, examples[-1].id, 3 * longest, len(examples) * longest
    expected = [(first, 1, False), (first, some, False), (first, all_, False)]
    expected += [(last, some, False), (last, all_, False), (first, some, True)]
    assert tried == expected


@pytest.mark.parametrize("wrong", ["head_l2", "hidden"])
def test_one_wrong_number_in_one_way_is_found(
    wrong: str, llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = invariance.measure, []

    def broken(*arguments: Any, **options: Any) -> Measured:
        found = real(*arguments, **options)
        calls.append(found)
        if len(calls) == 4:
            (found.columns if wrong in found.columns else found.vectors)[wrong][2] *= 1.01
        return found

    monkeypatch.setattr(invariance, "measure", broken)
    errors = batch_errors(llama, examples, ["gradients", "hidden"], 0)
    assert errors.pop(wrong) == pytest.approx(0.01, rel=0.02)
    assert max(errors.values()) <= SAME


def test_errors_are_relative_to_the_right_size() -> None:
    numbers = {
        "head_l2": [10.0, 1e-9], "head_mean": [0.0, 0.0], "head_std": [2.0, 4.0], "adapter_mean": [0.0, 1.0],
        "adapter_mean_abs": [0.5, 2.0], "nothing": [0.0, 0.0],
    }  # fmt: skip
    changed = {"head_l2": [10.1, 2e-9], "head_mean": [0.02, 0.0], "adapter_mean": [0.05, 1.0]}
    right = Measured({name: np.array(values) for name, values in numbers.items()})
    found = Measured({name: np.array(values) for name, values in (numbers | changed).items()})
    right.vectors["hidden"], found.vectors["hidden"] = np.array([[3.0, 4.0], [0, 1]]), np.array([[3.0, 4.05], [0, 1]])
    expected = {"head_l2": 0.01, "head_mean": 0.01, "adapter_mean": 0.1, "hidden": 0.01}
    assert relative_errors(found, right) == pytest.approx(dict.fromkeys(numbers, 0.0) | expected)
    for value in (np.nan, 1e-30):
        found.columns["nothing"] = np.array([0.0, value])
        assert relative_errors(found, right)["nothing"] == np.inf


def test_tolerances() -> None:
    assert batch_tolerance("head_l2", "float32") == SAME
    assert {name: batch_tolerance(name, "bf16") for name in rough()} == rough()
