"""Low-rank adapters: their start, their scale, and what of the model stays as it was."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from grads.config.training import Adapter
from grads.models.adapter import fresh_adapter, trained_adapter
from grads.models.device import device
from grads.models.load import load_model
from grads.runtime.errors import GradsError

IDS = torch.tensor([[40, 41, 42, 43, 44]])


@torch.no_grad()
def logits(model: nn.Module) -> torch.Tensor:
    return model.eval()(IDS.to(device())).logits.float()


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_fresh_adapter_changes_nothing_and_is_all_that_trains(tiny_model_folder, precision):
    base = logits(load_model(tiny_model_folder, precision))
    model = fresh_adapter(load_model(tiny_model_folder, precision), Adapter(rank=3), seed=1)
    assert torch.equal(logits(model), base)
    weights = trainable(model)
    assert all("lora_" in name for name in weights)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert all(not weight.any() for name, weight in weights.items() if "lora_B" in name)
    assert all(weight.any() and weight.shape[0] == 3 for name, weight in weights.items() if "lora_A" in name)
    # Two decoder layers of seven linear layers each: the LM head is not among them.
    assert len(weights) == 2 * 2 * 7
    assert not any("lm_head" in name or "embed" in name for name in weights)


def test_the_start_depends_on_the_seed_alone(tiny_model_folder):
    def start(seed: int, earlier: int) -> dict[str, nn.Parameter]:
        torch.manual_seed(earlier)
        return trainable(fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2), seed))

    first, again, other = start(1, 10), start(1, 11), start(2, 10)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first if "lora_A" in name)


@pytest.mark.parametrize(("rank", "alpha"), [(2, 2.0), (2, 5.5), (4, 1.0)])
def test_the_update_is_alpha_over_rank_times_b_a(tiny_model_folder, rank, alpha):
    adapter = Adapter(rank=rank, alpha=alpha, targets=["q_proj", "down_proj"])
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), adapter, seed=0)
    plain = load_model(tiny_model_folder, "float32")
    torch.manual_seed(3)
    for name, layer in model.get_base_model().named_modules():
        if hasattr(layer, "lora_A"):
            assert name.endswith(("q_proj", "down_proj"))
            a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            with torch.no_grad():
                b.normal_()
                plain.get_submodule(name).weight.add_(alpha / rank * b @ a)
    torch.testing.assert_close(logits(model), logits(plain), rtol=1e-4, atol=1e-5)


def test_dropout_is_the_configs_and_off_in_evaluation(tiny_model_folder):
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2, dropout=0.4), seed=0)
    rates = {layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)}
    assert rates == {0.4}
    for name, weight in trainable(model).items():
        if "lora_B" in name:
            nn.init.normal_(weight)
    assert torch.equal(logits(model), logits(model))
    model.train()
    with torch.no_grad():
        ids = IDS.to(device())
        assert not torch.equal(model(ids).logits, model(ids).logits)


def test_a_trained_adapter_comes_back_whole_and_goes_on_training(tiny_model_folder, tmp_path):
    model = fresh_adapter(load_model(tiny_model_folder, "bf16"), Adapter(rank=2, alpha=7.0), seed=0)
    for name, weight in trainable(model).items():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    model.save_pretrained(tmp_path)
    assert {value.dtype for value in load_file(tmp_path / "adapter_model.safetensors").values()} == {torch.float32}
    again = trained_adapter(load_model(tiny_model_folder, "bf16"), tmp_path, dropout=0.3)
    assert {layer.p for layer in again.modules() if isinstance(layer, nn.Dropout)} == {0.3}
    assert torch.equal(logits(again), logits(model))
    mine, theirs = trainable(again), trainable(model)
    assert set(mine) == set(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert {weight.dtype for weight in mine.values()} == {torch.float32}


@pytest.mark.parametrize("targets", [["q_prj"], ["nothing", "of_the_kind"]])
def test_layers_that_the_model_has_not_are_refused(tiny_model_folder, targets):
    with pytest.raises(GradsError, match=rf"^training\.adapter\.targets: .*{targets[0]}"):
        fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(targets=targets), seed=0)
