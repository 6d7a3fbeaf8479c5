import pytest
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from grads.config.training import Adapter
from grads.models.adapter import fresh_adapter
from grads.models.flops import probe_flops, stored_parameters, training_flops


def test_a_training_pass_takes_six_operations_a_parameter_and_token():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2), nn.Linear(3, 5, bias=False))
    # Shared weights count once: 5 x 3 of the embedding, 3 x 2 and 2 of the layer.
    model[2].weight = model[0].weight
    assert training_flops(model, 7) == 6 * 23 * 7
    model[0].requires_grad_(False)
    assert training_flops(model, 7) == (4 * 15 + 6 * 8) * 7


def test_with_an_adapter_it_takes_four_and_six_for_the_adapter():
    config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    model = LlamaForCausalLM(config)
    frozen = sum(parameter.numel() for parameter in model.parameters())
    adapted = fresh_adapter(model, Adapter(rank=2), 0)
    trained = sum(parameter.numel() for name, parameter in adapted.named_parameters() if "lora" in name)
    assert trained > 0
    assert training_flops(adapted, 7) == (4 * frozen + 6 * trained) * 7


@pytest.mark.parametrize(("passes", "each"), [(0, 2), (1, 4), (2, 8)])
def test_a_probe_takes_two_operations_without_gradients_and_four_with_them(passes, each):
    assert probe_flops(1000, passes, 7) == each * 1000 * 7


def test_parameters_are_counted_over_all_files_of_a_model(tmp_path):
    save_file({"a": nn.Linear(3, 2).weight.data}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": nn.Linear(4, 5).weight.data}, tmp_path / "model-00002-of-00002.safetensors")
    assert stored_parameters(tmp_path) == 26
