"""What the probe cannot do in a model is refused by name, before any work; what it can do there still works."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    MixtralConfig,
    OlmoeConfig,
    Qwen3MoeConfig,
)

from grads.config.features import Features
from grads.data.records.formatting import Example
from grads.models.causal import unwrap
from grads.probing.gradients.checks import check_ends
from grads.probing.gradients.passes import Pass
from grads.probing.measure import measure
from grads.runtime.errors import GradsError

Build = Callable[..., nn.Module]
ALL = "all-linear"


def adapted(model: nn.Module, targets: Any = ALL, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules=targets, init_lora_weights=False, **options)
    return get_peft_model(copy.deepcopy(model), config).eval()


def refused(model: nn.Module, examples: list[Example], measures: set[str], monkeypatch: Any, message: str) -> None:
    """Assert that the model is refused with this message, and that no batch was measured before."""
    monkeypatch.setattr(Pass, "measure", lambda *_arguments: 1 / 0)
    with pytest.raises(GradsError, match=message) as error:
        measure(model, examples, measures, 60, 0)
    assert "\n" not in str(error.value)


class Quantised(nn.Linear):
    """Stands for the layers of quantisation libraries, which are subclasses of torch's."""


class Twice(nn.Module):
    """A linear layer that is applied two times."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.layer(given) + self.layer(2 * given)


EXPERTS = {
    "mixtral": (MixtralConfig, {"num_local_experts": 3}),
    "qwen3_moe": (Qwen3MoeConfig, {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8}),
    "olmoe": (OlmoeConfig, {"num_experts": 3, "num_experts_per_tok": 2}),
}


@pytest.fixture(params=EXPERTS)
def experts(request: pytest.FixtureRequest, sizes: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    make, options = EXPERTS[request.param]
    return AutoModelForCausalLM.from_config(make(**sizes, **options), dtype=torch.float32).eval()


@pytest.mark.parametrize("measures", [{"weights"}, {"sgd_features"}])
def test_weights_of_fused_experts_are_refused(
    measures: set[str], experts: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(
        experts, examples, measures, monkeypatch,
        r"^model\.layers\.0\.mlp\.\S+ \(.* x .*\) is in no linear layer.*choose signals of embedding and head",
    )  # fmt: skip


def test_embedding_and_head_of_a_model_with_experts_equal_autograd(
    experts: nn.Module, examples: list[Example], autograd: Any, errors: Any
) -> None:
    # An adapter on the attention is no matter of the experts.
    model = adapted(experts, ["q_proj", "v_proj"])
    found = measure(model, examples[:4], {"gradients", "adapter", "sgd_features"}, 60, 0)
    oracle = autograd(model)
    for index, example in enumerate(examples[:4]):
        expected, vectors, _ = oracle(example)
        for name, values in found.columns.items():
            assert errors[0](name, values[index], expected) <= 1e-4, name
        assert errors[1](found.vectors["sgd_features"][index], vectors["sgd_features"]) <= 1e-4


def test_an_adapter_on_experts_is_refused(
    examples: list[Example], sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_config(MixtralConfig(**sizes, num_local_experts=3)).eval()
    config = LoraConfig(r=2, target_modules=[], target_parameters=["mlp.experts.gate_up_proj"], lora_dropout=0.0)
    refused(
        get_peft_model(model, config), examples, {"adapter"}, monkeypatch,
        r"experts is a MixtralExperts, whose gradients the probe cannot take record by record.*choose other layers",
    )  # fmt: skip


@pytest.mark.parametrize("initial", [False, True], ids=["trained", "fresh"])
@pytest.mark.parametrize(("target", "name"), [("embed_tokens", "input embeddings"), ("lm_head", "LM head")])
@pytest.mark.parametrize("measures", [{"gradients"}, {"adapter"}])
def test_an_adapter_on_embedding_or_head_is_refused(
    target: str, name: str, initial: bool, measures: set[str], build: Build, examples: list[Example], monkeypatch: Any
) -> None:
    config = LoraConfig(r=2, target_modules=[target, "q_proj"], init_lora_weights=initial)
    model = get_peft_model(build("llama-untied"), config)
    refused(model, examples, measures, monkeypatch, f"there is an adapter on the {name}.*training.adapter.targets")


def test_a_retrained_head_is_refused(build: Build, examples: list[Example], monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(build("llama-untied"), ["q_proj"], modules_to_save=["lm_head"])
    refused(model, examples, {"gradients"}, monkeypatch, "there is an adapter on the LM head")


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_bias": True}], ids=["dora", "bias"])
def test_other_paths_than_plain_lora_are_refused(
    options: dict[str, bool], llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapted(llama, **options)
    refused(model, examples, {"adapter"}, monkeypatch, "the adapter at .*_proj is more than one plain LoRA path: train")


def test_several_active_adapters_are_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = adapted(llama)
    model.add_adapter("second", LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    found = measure(model, examples[:2], {"adapter"}, 60, 0)
    model.base_model.set_adapter(["default", "second"])
    refused(model, examples, {"adapter"}, monkeypatch, "the adapter at .*q_proj is more than one plain LoRA path")
    monkeypatch.undo()
    # Layers that the active adapter leaves out count for nothing.
    model.set_adapter("second")
    other = measure(model, examples[:2], {"adapter", "sgd_features"}, 60, 0, features=Features(size=40))
    assert (other.columns["adapter_l2"] != found.columns["adapter_l2"]).all()
    assert other.vectors["sgd_features"].shape == (2, 2 * (2 * 32 + 32 * 2))


def test_an_adapter_that_is_merged_or_switched_off_is_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = adapted(llama)
    expected = measure(model, examples[:3], {"gradients"}, 60, 0).columns
    with model.disable_adapter():
        refused(model, examples, {"adapter"}, monkeypatch, "the adapter at .*_proj is switched off: probe with")
    monkeypatch.undo()
    model.merge_adapter()
    # Signals of embedding and head are those of the same function.
    for name, values in measure(model, examples[:3], {"gradients"}, 60, 0).columns.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-3, atol=1e-6)
    refused(model, examples, {"sgd_features"}, monkeypatch, "the adapter at .*_proj is merged into its weights")


def test_other_adapters_than_lora_are_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    model = get_peft_model(copy.deepcopy(llama), config).eval()
    assert np.isfinite(measure(model, examples, {"gradients"}, 60, 0).columns["head_l2"]).all()
    refused(model, examples, {"adapter"}, monkeypatch, "the adapter at .*k_proj is a Linear, the probe knows LoRA only")


@pytest.mark.parametrize("measures", [{"weights"}, {"adapter"}])
def test_quantised_layers_are_refused(
    measures: set[str], llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(llama)
    layer = model.get_submodule("model.layers.1.mlp.up_proj")
    layer.__class__ = Quantised
    model = adapted(model) if "adapter" in measures else model
    assert np.isfinite(measure(model, examples, {"gradients"}, 60, 0).columns["head_l2"]).all()
    refused(model, examples, measures, monkeypatch, r"layers\.1\.mlp\.up_proj is a Quantised, whose gradients")


@pytest.mark.parametrize("measures", [{"weights"}, {"adapter"}])
def test_a_layer_used_twice_in_a_pass_is_refused(
    measures: set[str], llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = copy.deepcopy(llama)
    shared.model.layers[1].mlp = shared.model.layers[0].mlp
    model = adapted(shared) if "adapter" in measures else shared
    refused(model, examples, measures, monkeypatch, r"layers\.0\.mlp\.\w+_proj is used 2 times in one pass")
    monkeypatch.undo()
    again = copy.deepcopy(llama)
    again.model.layers[1].mlp.up_proj = Twice(again.model.layers[1].mlp.up_proj)
    model = adapted(again) if "adapter" in measures else again
    refused(model, examples, measures, monkeypatch, r"layers\.1\.mlp\.up_proj\.layer is used 2 times in one pass")


def test_a_layer_that_is_not_used_is_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(llama)
    model.model.spare = nn.Linear(4, 4)
    refused(model, examples, {"weights"}, monkeypatch, r"model\.spare is used 0 times in one pass")


def test_layers_that_share_their_weights_are_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(llama)
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    refused(model, examples, {"weights"}, monkeypatch, "linear layers of the model share their weights: choose signals")


def test_a_layer_that_sees_tokens_out_of_their_records_is_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Flat(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.layer(given.flatten(0, 1)).view(*given.shape[:2], -1)

    model = copy.deepcopy(llama)
    model.model.layers[0].mlp.up_proj = Flat(model.model.layers[0].mlp.up_proj)
    message = r"layers\.0\.mlp\.up_proj\.layer does not see records one by one \(its input is \(\d+, 32\)"
    refused(model, examples, {"weights"}, monkeypatch, message)


def test_a_tap_that_no_gradient_reaches_is_named(llama: nn.Module, examples: list[Example]) -> None:
    class Cut(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.layer(given).detach()

    model = adapted(llama)
    mlp = model.get_submodule("base_model.model.model.layers.1.mlp")
    mlp.up_proj = Cut(mlp.up_proj)
    with pytest.raises(GradsError, match=r"no gradient reached .*layers\.1\.mlp\.up_proj\.layer: choose other"):
        measure(model, examples, {"adapter"}, 60, 0)


def test_unknown_scaling_of_logits_is_refused(
    sizes: dict[str, Any], examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GraniteForCausalLM(GraniteConfig(**sizes, logits_scaling=4.0)).eval()
    refused(model, examples, {"losses"}, monkeypatch, "the logits of GraniteForCausalLM are not its LM head's output")


def test_other_lookups_than_rows_are_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(llama)
    model.get_input_embeddings().max_norm = 0.1
    refused(model, examples, {"losses"}, monkeypatch, "the probe knows input embeddings that look up a row")


def test_other_number_types_are_refused(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(llama).half()
    refused(model, examples, {"losses"}, monkeypatch, "LlamaForCausalLM are float16: load the model with")
    with pytest.raises(GradsError, match="the LM head of LlamaForCausalLM are missing"):
        model = copy.deepcopy(llama)
        model.lm_head = None
        check_ends(model, 0)


@pytest.mark.parametrize("padding", [-1, 97])
def test_padding_that_the_model_does_not_know_is_refused(padding: int, llama: nn.Module) -> None:
    with pytest.raises(GradsError, match=f"the padding token {padding} is not among the 97 of the model: pad with"):
        Pass(llama, {"losses"}, padding)


def test_a_first_record_without_finite_numbers_is_not_taken_for_an_unknown_model(
    build: Build, examples: list[Example]
) -> None:
    model = build("llama-untied")
    with torch.no_grad():
        unwrap(model).get_input_embeddings().weight[96] = torch.nan
    found = measure(model, [Example("bad", [5, 6, 96, 7, 8, 9], 3), *examples], {"gradients"}, 60, 0)
    finite = np.isfinite(found.columns["head_l2"])
    assert finite.tolist() == [False, *[True] * len(examples)]
