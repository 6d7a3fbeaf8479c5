"""An adapter's path as one operation against PEFT's modules and autograd."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from grads.models.causal import unwrap
from grads.models.low_rank import AdaptedLinear, adapted_layers, is_plain
from tests.probing.conftest import add_adapter, build_model


def inputs_of(dropped):
    generator = torch.Generator().manual_seed(3)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    given = draw(2, 5, 4).requires_grad_()
    apart = draw(2, 5, 4).requires_grad_() if dropped else None
    return given, apart, draw(6, 4), draw(6), draw(3, 4).requires_grad_(), draw(6, 3).requires_grad_()


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_the_operation_and_its_backward_pass_are_those_of_the_formula(dropped, biased):
    given, apart, matrix, bias, low, high = inputs_of(dropped)
    bias = bias if biased else None
    found = AdaptedLinear.apply(given, apart, matrix, bias, low, high)
    right = torch.nn.functional.linear(given, matrix, bias) + (given if apart is None else apart) @ low.T @ high.T
    torch.testing.assert_close(found, right)
    leaves = [leaf for leaf in (given, apart, low, high) if leaf is not None]
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = torch.autograd.grad((right * weights).sum(), leaves)
    gradients = torch.autograd.grad((found * weights).sum(), leaves)
    for gradient, other in zip(gradients, wanted, strict=True):
        # Those of A and B are handed to float32 weights.
        torch.testing.assert_close(gradient.double(), other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["llama-tied", "qwen2-untied", "gpt2-tied"])
def test_a_model_with_an_adapter_computes_the_same(name):
    model = add_adapter(build_model(name, "sdpa"))
    ids = torch.arange(20).unsqueeze(0)
    with torch.no_grad():
        expected = model(ids).logits
        with adapted_layers(model):
            found = model(ids).logits
            with model.disable_adapter():
                bare = model(ids).logits
        with model.disable_adapter():
            torch.testing.assert_close(bare, model(ids).logits)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_dropout_is_that_of_pefts_layers():
    model = get_peft_model(build_model("llama-tied", "sdpa"), LoraConfig(target_modules="all-linear", lora_dropout=0.5))
    model.train()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    layer = unwrap(model).model.layers[0].self_attn.q_proj
    given = torch.randn(1, 7, 32)
    torch.manual_seed(2)
    expected = layer(given)
    with adapted_layers(model):
        torch.manual_seed(2)
        torch.testing.assert_close(layer(given), expected, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(layer(given), expected)


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_bias": True}])
def test_layers_that_compute_more_are_left_to_peft(options):
    config = LoraConfig(target_modules=["q_proj"], **options)
    model = get_peft_model(build_model("llama-tied", "sdpa"), config)
    layer = unwrap(model).model.layers[0].self_attn.q_proj
    assert not is_plain(layer)
    with adapted_layers(model):
        assert "forward" not in vars(layer)


def test_layers_are_as_they_were_afterwards():
    model = add_adapter(build_model("llama-tied", "sdpa"))
    layers = [module for module in copy.copy(model).modules() if is_plain(module)]
    assert len(layers) == 14
    with adapted_layers(model):
        assert all("forward" in vars(layer) for layer in layers)
    assert not any("forward" in vars(layer) for layer in layers)
