"""One pass against autograd, one example at a time: every column and every vector, on many architectures."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grads.data.formatting import Example
from grads.probe.measure import measure
from grads.probe.measures import MEASURES, columns
from grads.probe.passes import Measured, Pass, frozen

Build = Callable[..., nn.Module]
Adapt = Callable[[nn.Module], nn.Module]
Errors = tuple[Callable[..., float], Callable[..., float]]
ARCHITECTURES = [
    "llama-tied", "llama-untied", "qwen2-tied", "qwen3-untied", "mistral-untied", "gemma2-tied", "gemma3-tied",
    "gpt2-tied", "gpt2-untied", "gpt_neox-untied", "phi-untied",
]  # fmt: skip
# transformers computes soft-capped attention in its eager form only.
CASES = [
    (name, kind) for name in ARCHITECTURES for kind in ("eager", "sdpa") if (name, kind) != ("gemma2-tied", "sdpa")
]
# What is there without an adapter, and with one.
PLAIN, ADAPTED = sorted(MEASURES - {"adapter", "adam_features"}), sorted(MEASURES - {"weights"})


def measured(model: nn.Module, examples: list[Example], budget: int = 60, padding: int = 0, **options: Any) -> Measured:
    adapted = any("lora_" in name for name, _ in model.named_parameters())
    return measure(model, examples, ADAPTED if adapted else PLAIN, budget, padding, layer=1, **options)


def assert_equal_autograd(found: Measured, oracle: Any, examples: list[Example], errors: Errors) -> None:
    of_column, of_vector = errors
    for index, example in enumerate(examples):
        expected, vectors, losses = oracle(example)
        for name, values in found.columns.items():
            assert of_column(name, values[index], expected) <= 1e-4, (example.id, name, values[index], expected[name])
        assert set(found.vectors) == set(vectors)
        for name, rows in found.vectors.items():
            assert rows.dtype == np.float32
            assert of_vector(rows[index], vectors[name]) <= 1e-4, (example.id, name)
        np.testing.assert_allclose(found.token_losses[index], losses, rtol=1e-4, atol=1e-5)


def differences(found: Measured, other: Measured, errors: Errors) -> dict[str, float]:
    """Return the largest error over the records of each column and vector, `other` being the right one."""
    largest: dict[str, float] = {}
    for index in range(len(other.columns["response_nll"])):
        expected = {name: values[index] for name, values in other.columns.items()}
        for layer in ("embedding", "head"):
            expected[f"{layer}_rms"] = np.hypot(expected[f"{layer}_mean"], expected[f"{layer}_std"])
        for name, values in found.columns.items():
            largest[name] = max(largest.get(name, 0.0), errors[0](name, values[index], expected))
        for name, rows in found.vectors.items():
            largest[name] = max(largest.get(name, 0.0), errors[1](rows[index], other.vectors[name][index]))
    return largest


@pytest.mark.parametrize(("name", "attention"), CASES)
def test_everything_equals_autograd(
    name: str, attention: str, build: Build, autograd: Any, examples: list[Example], errors: Errors
) -> None:
    found = measured(build(name, attention), examples)
    assert tuple(found.columns) == columns(PLAIN)
    assert_equal_autograd(found, autograd(build(name)), examples, errors)


@pytest.mark.parametrize(("name", "attention"), CASES)
def test_everything_equals_autograd_with_an_adapter(
    name: str,
    attention: str,
    build: Build,
    with_adapter: Adapt,
    moments_for: Any,
    autograd: Any,
    examples: list[Example],
    errors: Errors,
) -> None:
    model = with_adapter(build(name, attention))
    moments = moments_for(model)
    found = measured(model, examples, moments=moments)
    assert tuple(found.columns) == columns(ADAPTED)
    assert_equal_autograd(found, autograd(with_adapter(build(name)), moments=moments), examples, errors)


@pytest.mark.parametrize("adapted", [False, True], ids=["base", "lora"])
@pytest.mark.parametrize("name", ["llama-tied", "mistral-untied", "gemma2-tied", "gpt2-tied"])
def test_batches_order_and_padding_change_nothing(
    name: str,
    adapted: bool,
    build: Build,
    with_adapter: Adapt,
    moments_for: Any,
    examples: list[Example],
    errors: Errors,
) -> None:
    model = build(name, "eager" if name.startswith("gemma2") else "sdpa")
    model = with_adapter(model) if adapted else model
    options = {"moments": moments_for(model)} if adapted else {}
    alone = measured(model, examples, 1, **options)
    for budget, padding, step in ((10_000, 0, 1), (40, 5, 1), (70, 0, -1)):
        again = measured(model, examples[::step], budget, padding, **options)
        again.columns = {key: values[::step] for key, values in again.columns.items()}
        again.vectors = {key: rows[::step] for key, rows in again.vectors.items()}
        found = differences(again, alone, errors)
        assert max(found.values()) <= 5e-5, found
