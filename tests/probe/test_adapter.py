"""The adapter's gradients against autograd, one example at a time."""

import copy
from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from grads.data.formatting import Example
from grads.probe.adapter import AdapterTaps
from grads.probe.gradients import columns, gradient_statistics
from grads.runtime.errors import GradsError

Build = Callable[[str], nn.Module]
Adapt = Callable[[nn.Module], nn.Module]
MEASURES = ["adapter", "mean_abs"]


def autograd_statistics(model: nn.Module, example: Example) -> dict[str, float]:
    """Return what autograd says of all LoRA parameters for one example."""
    model = copy.deepcopy(model).eval()
    parameters = [p for name, p in model.named_parameters() if "lora_" in name]
    for parameter in parameters:
        parameter.requires_grad_(True)
    ids = torch.tensor([example.input_ids])
    labels = torch.full_like(ids, -100)
    for start, stop in (*example.earlier, (example.prompt_tokens, len(example.input_ids))):
        labels[0, start:stop] = ids[0, start:stop]
    nn.functional.cross_entropy(model(input_ids=ids).logits[0, :-1], labels[0, 1:]).backward()
    gradient = torch.cat([p.grad.flatten() for p in parameters]).double()
    return {
        "adapter_l2": gradient.norm().item(),
        "adapter_max": gradient.max().item(),
        "adapter_min": gradient.min().item(),
        "adapter_mean": gradient.mean().item(),
        "adapter_std": gradient.std(correction=0).item(),
        "adapter_mean_abs": gradient.abs().mean().item(),
    }


def assert_equal_autograd(model: nn.Module, examples: list[Example], budget: int = 60) -> None:
    rows = gradient_statistics(model, examples, budget, 0, measures=MEASURES)
    for row, example in zip(rows, examples, strict=True):
        assert tuple(row) == columns(MEASURES)
        expected = autograd_statistics(model, example)
        for name, value in expected.items():
            # The mean is a sum that cancels: it is as exact as the entries are.
            allowed = 1e-4 * (expected["adapter_mean_abs"] if name == "adapter_mean" else abs(value))
            assert abs(row[name] - value) <= allowed, (name, row[name], value)


@pytest.mark.parametrize("name", ["llama-tied", "gpt2-tied", "gemma2-tied"])
def test_adapter_gradients_equal_autograd(
    name: str, build: Build, with_adapter: Adapt, examples: list[Example]
) -> None:
    model = with_adapter(build(name))
    for budget in (60, 10_000):
        assert_equal_autograd(model, examples, budget)
    assert all(not module._forward_hooks for module in model.modules())


def test_an_untrained_adapter_has_gradients_of_b_only(llama: nn.Module, examples: list[Example]) -> None:
    torch.manual_seed(0)
    model = get_peft_model(copy.deepcopy(llama), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")).eval()
    assert_equal_autograd(model, examples)


def test_adapters_on_some_layers_only(llama: nn.Module, examples: list[Example]) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False, lora_dropout=0.5)
    assert_equal_autograd(get_peft_model(copy.deepcopy(llama), config), examples[:3])


def test_a_model_without_an_adapter_is_refused(llama: nn.Module, examples: list[Example]) -> None:
    with pytest.raises(GradsError, match="has no LoRA adapter"):
        gradient_statistics(llama, examples, 60, 0, measures=["adapter"])


def test_a_layer_that_no_gradient_reaches_is_named(llama: nn.Module, with_adapter: Adapt) -> None:
    taps = AdapterTaps(with_adapter(llama))
    with taps.watch(2):
        pass
    with pytest.raises(GradsError, match=r"no gradient reached the adapter at .*proj"):
        taps.statistics()
