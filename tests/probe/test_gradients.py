"""The probe against autograd, one example at a time."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import GraniteConfig, GraniteForCausalLM

from grads.data.formatting import Example
from grads.models.causal import unwrap
from grads.probe.gradients import COLUMNS, frozen, gradient_statistics
from grads.probe.hidden import mean_hidden_states
from grads.runtime.errors import GradsError

Build = Callable[[str], nn.Module]
Adapt = Callable[[nn.Module], nn.Module]
ENTRIES = 97 * 32
MODELS = ["llama-tied", "llama-untied", "gpt2-tied", "gpt2-untied", "gemma2-tied"]


def autograd_statistics(model: nn.Module, example: Example) -> dict[str, float]:
    """Return what autograd says of one example, with embedding and head made separate parameters."""
    model = copy.deepcopy(model)
    core = unwrap(model)
    embedding, head = core.get_input_embeddings(), core.get_output_embeddings()
    for module in (embedding, head):
        module.weight = nn.Parameter(module.weight.detach().clone())
    ids = torch.tensor([example.input_ids])
    labels = torch.full_like(ids, -100)
    for start, stop in (*example.earlier, (example.prompt_tokens, len(example.input_ids))):
        labels[0, start:stop] = ids[0, start:stop]
    loss = nn.functional.cross_entropy(model(input_ids=ids).logits[0, :-1], labels[0, 1:])
    loss.backward()
    found = {"response_nll": loss.item()}
    for name, module in (("embedding", embedding), ("head", head)):
        gradient = module.weight.grad.double()
        found[f"{name}_l2"] = gradient.norm().item()
        found[f"{name}_max"] = gradient.max().item()
        found[f"{name}_min"] = gradient.min().item()
        found[f"{name}_mean"] = gradient.mean().item()
        found[f"{name}_std"] = gradient.std(correction=0).item()
        found[f"{name}_mean_abs"] = gradient.abs().mean().item()
    return found


def assert_close(found: dict[str, float], expected: dict[str, float], relative: float = 1e-4) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        matrix = name.split("_")[0]
        if name.endswith("_mean"):
            allowed = relative * expected[f"{matrix}_l2"] / math.sqrt(ENTRIES)
        else:
            allowed = relative * abs(value)
        assert abs(found[name] - value) <= allowed, (name, found[name], value)


@pytest.mark.parametrize("adapted", [False, True], ids=["base", "lora"])
@pytest.mark.parametrize("name", MODELS)
def test_statistics_equal_autograd(
    name: str, adapted: bool, build: Build, with_adapter: Adapt, examples: list[Example]
) -> None:
    model = with_adapter(build(name)) if adapted else build(name)
    rows = gradient_statistics(model, examples, token_budget=60, padding=0)
    assert len(rows) == len(examples)
    for row, example in zip(rows, examples, strict=True):
        assert tuple(row) == COLUMNS
        expected = autograd_statistics(model, example)
        assert_close(row, {name: expected[name] for name in COLUMNS})


@pytest.mark.parametrize("name", ["llama-tied", "gemma2-tied"])
def test_mean_absolute_gradients_equal_autograd(
    name: str, build: Build, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few rows of the head at once.
    monkeypatch.setattr("grads.probe.statistics.MOST_ENTRIES", 10 * 32)
    model = build(name)
    features = np.zeros((len(examples), 32), dtype=np.float32)
    rows = gradient_statistics(model, examples, 60, 0, measures=["mean_abs", "hidden"], features=features)
    for row, example in zip(rows, examples, strict=True):
        assert_close(row, autograd_statistics(model, example))
    np.testing.assert_allclose(features, mean_hidden_states(model, examples, 60, 0), rtol=1e-4, atol=1e-5)


def test_adapter_changes_the_statistics(llama: nn.Module, with_adapter: Adapt, examples: list[Example]) -> None:
    plain = gradient_statistics(llama, examples, 100, 0)
    adapted = gradient_statistics(with_adapter(llama), examples, 100, 0)
    assert all(abs(a["head_l2"] / b["head_l2"] - 1) > 1e-3 for a, b in zip(plain, adapted, strict=True))


@pytest.mark.parametrize("name", ["llama-tied", "gemma2-tied"])
def test_statistics_do_not_depend_on_the_batch(name: str, build: Build, examples: list[Example]) -> None:
    model = build(name)
    together = gradient_statistics(model, examples, 10_000, 0)
    for budget, padding, step in ((1, 0, 1), (40, 5, 1), (70, 0, -1)):
        again = gradient_statistics(model, examples[::step], budget, padding)[::step]
        for row, expected in zip(again, together, strict=True):
            assert_close(row, expected, relative=2e-5)


def test_few_logits_at_once_change_nothing(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = gradient_statistics(llama, examples, 10_000, 0)
    monkeypatch.setattr("grads.probe.gradients.MOST_LOGITS", 15 * 97)
    for row, other in zip(gradient_statistics(llama, examples, 10_000, 0), expected, strict=True):
        assert_close(row, other, relative=2e-5)


def test_head_mean_is_zero_only_where_the_softmax_makes_it_so(
    llama: nn.Module, build: Build, examples: list[Example]
) -> None:
    assert all(row["head_mean"] == 0.0 for row in gradient_statistics(llama, examples, 100, 0))
    capped = gradient_statistics(build("gemma2-tied"), examples, 100, 0)
    assert all(abs(row["head_mean"]) > 1e-6 * row["head_l2"] for row in capped)


def test_bf16_weights_come_near_float32(llama: nn.Module, examples: list[Example]) -> None:
    exact = gradient_statistics(llama, examples, 100, 0)
    rough = gradient_statistics(copy.deepcopy(llama).to(torch.bfloat16), examples, 100, 0)
    for row, expected in zip(rough, exact, strict=True):
        assert row["head_l2"] == pytest.approx(expected["head_l2"], rel=0.1)
        assert row["embedding_l2"] == pytest.approx(expected["embedding_l2"], rel=0.2)
        assert row["response_nll"] == pytest.approx(expected["response_nll"], rel=0.1)


def test_model_is_left_as_it_was(llama: nn.Module, examples: list[Example]) -> None:
    model = copy.deepcopy(llama).train()
    model.lm_head.requires_grad_(False)
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    with frozen(model):
        assert not model.training
        assert not any(p.requires_grad for p in model.parameters())
    gradient_statistics(model, examples, 100, 0)
    assert model.training
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before
    assert all(p.grad is None for p in model.parameters())
    assert not model.get_input_embeddings()._forward_hooks


def test_no_examples_no_rows(llama: nn.Module) -> None:
    assert gradient_statistics(llama, [], 100, 0) == []


def test_empty_response_is_refused_by_name(llama: nn.Module, examples: list[Example]) -> None:
    with pytest.raises(GradsError, match="record empty has no response token"):
        gradient_statistics(llama, [*examples, Example("empty", [4, 5], 2)], 100, 0)


def test_adapter_on_the_embedding_is_refused(build: Build, examples: list[Example]) -> None:
    config = LoraConfig(r=2, target_modules=["embed_tokens"], init_lora_weights=False)
    model = get_peft_model(build("llama-untied"), config)
    with pytest.raises(GradsError, match="input embeddings"):
        gradient_statistics(model, examples, 100, 0)


def test_unknown_logit_scaling_is_refused(sizes: dict[str, Any], examples: list[Example]) -> None:
    model = GraniteForCausalLM(GraniteConfig(**sizes, logits_scaling=4.0)).eval()
    with pytest.raises(GradsError, match="GraniteForCausalLM"):
        gradient_statistics(model, examples, 100, 0)
