"""Logits, taken apart and put together again, against the models' own."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    PhiConfig,
)

from grads.models.causal import (
    check_logits,
    context_length,
    decoder_layers,
    head_logits,
    hidden_states,
    pad_right,
    unwrap,
)
from grads.runtime.errors import GradsError

SIZES = {
    "vocab_size": 61, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32, "initializer_range": 0.3,
}  # fmt: skip
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "gemma2": Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0, sliding_window=32),
    "phi": PhiConfig(**SIZES),
    "gpt_neox": GPTNeoXConfig(**{key: value for key, value in SIZES.items() if key != "num_key_value_heads"}),
    "gpt2": GPT2Config(vocab_size=61, n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3),
}
IDS = torch.tensor([[5, 9, 60, 2, 7], [1, 1, 4, 8, 3]])


@pytest.fixture(params=CONFIGS)
def model(request):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[request.param], attn_implementation="eager").eval()


@torch.no_grad()
def test_hidden_states_and_head_give_the_models_logits(model):
    logits = head_logits(model, hidden_states(model, input_ids=IDS))
    torch.testing.assert_close(logits, model(input_ids=IDS).logits, rtol=1e-5, atol=1e-5)


def test_a_known_model_passes_the_check(model):
    check_logits(model)
    check_logits(model.to(torch.bfloat16))


def test_logits_that_are_scaled_are_refused():
    scaled = AutoModelForCausalLM.from_config(GraniteConfig(**SIZES, logits_scaling=4.0)).eval()
    with pytest.raises(GradsError, match="the logits of GraniteForCausalLM are not its LM head's output"):
        check_logits(scaled)


@torch.no_grad()
def test_an_adapter_stays_active(model):
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()
    assert unwrap(adapted) is model
    assert unwrap(model) is model
    logits = head_logits(adapted, hidden_states(adapted, input_ids=IDS))
    torch.testing.assert_close(logits, adapted(input_ids=IDS).logits, rtol=1e-5, atol=1e-5)
    with adapted.disable_adapter():
        plain = head_logits(adapted, hidden_states(adapted, input_ids=IDS))
    assert (plain - logits).abs().max() > 1e-3


@torch.no_grad()
def test_logits_are_float32_whatever_the_weights(model):
    rough = model.to(torch.bfloat16)
    hidden = hidden_states(rough, input_ids=IDS)
    assert hidden.dtype == torch.bfloat16
    assert head_logits(rough, hidden).dtype == torch.float32


@torch.no_grad()
def test_padding_on_the_right_changes_nothing_before_it(model):
    alone = hidden_states(model, input_ids=IDS[:1, :3])
    padded = hidden_states(model, input_ids=pad_right([IDS[0, :3].tolist(), IDS[1].tolist()], 0))[:1, :3]
    torch.testing.assert_close(padded, alone, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_decoder_layers_make_the_hidden_states_of_the_model(model):
    layers = decoder_layers(model)
    assert len(layers) == 2
    seen = []
    hook = layers[0].register_forward_hook(
        lambda _module, _inputs, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    expected = model(input_ids=IDS, output_hidden_states=True).hidden_states[1]
    hook.remove()
    torch.testing.assert_close(seen[0], expected)


def test_a_model_without_a_list_of_layers_is_refused(model):
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, nn.ModuleList):
                setattr(parent, name, nn.Sequential(*part))
    with pytest.raises(GradsError, match=r"ForCausalLM|LMHeadModel has no list of 2 decoder layers: choose another"):
        decoder_layers(model)


def test_context_length_is_that_of_the_positions(model):
    assert context_length(model.config) == 32
    assert context_length(unwrap(get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))).config) == 32


def test_pad_right():
    assert pad_right([[1, 2, 3], [4], [5, 6]], 9).tolist() == [[1, 2, 3], [4, 9, 9], [5, 6, 9]]
    assert pad_right([[1]], 0).dtype == torch.long
