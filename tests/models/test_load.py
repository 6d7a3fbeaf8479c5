"""Loading a model with what training left: an adapter, all weights, or nothing usable."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig

from grads.models.device import device, dtype
from grads.models.load import load_model, load_tokenizer
from grads.runtime.errors import GradsError

IDS = torch.tensor([[40, 41, 42, 43]])


@pytest.fixture(scope="module")
def adapter_folder(tiny_model_folder, tmp_path_factory):
    """A saved adapter with weights that are not zero, and the logits of the model that it was saved from."""
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(load_model(tiny_model_folder, "float32"), config).eval()
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    with torch.no_grad():
        return folder, model(IDS.to(device())).logits


@torch.no_grad()
def logits(model):
    return model(IDS.to(device())).logits


def test_a_model_is_loaded_for_evaluation_in_the_precision_asked(tiny_model_folder):
    for precision, kind in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        model = load_model(tiny_model_folder, precision)
        assert not model.training
        assert {parameter.dtype for parameter in model.parameters()} == {kind} == {dtype(precision)}
        assert {parameter.device.type for parameter in model.parameters()} == {device().type}


def test_an_adapter_is_applied(tiny_model_folder, adapter_folder):
    folder, expected = adapter_folder
    torch.testing.assert_close(logits(load_model(tiny_model_folder, "float32", folder)), expected)
    assert (logits(load_model(tiny_model_folder, "float32")) - expected).abs().max() > 1e-3


def test_an_adapter_stays_in_float32_next_to_bf16_weights(tiny_model_folder, adapter_folder):
    model = load_model(tiny_model_folder, "bf16", adapter_folder[0])
    kinds = {("lora" in name, parameter.dtype) for name, parameter in model.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    assert not any(module.merged for module in model.modules() if hasattr(module, "merged"))


def test_trained_weights_replace_the_models(tiny_model_folder, tmp_path):
    changed = load_model(tiny_model_folder, "float32")
    with torch.no_grad():
        changed.get_output_embeddings().weight.mul_(2.0)
    changed.save_pretrained(tmp_path)
    expected = 2.0 * logits(load_model(tiny_model_folder, "float32"))
    torch.testing.assert_close(logits(load_model(tiny_model_folder, "float32", tmp_path)), expected)


def test_a_folder_without_weights_is_refused(tiny_model_folder, tmp_path):
    with pytest.raises(GradsError, match=r"holds neither an adapter nor model weights: run its training again"):
        load_model(tiny_model_folder, "float32", tmp_path)


def test_a_tokenizer_pads_with_its_end_token_where_it_has_no_other(tiny_model_folder, tmp_path):
    tokenizer = load_tokenizer(tiny_model_folder)
    assert tokenizer.pad_token_id is not None
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.pad_token_id == again.eos_token_id


def test_a_tokenizer_without_any_token_to_pad_with_is_refused(tiny_model_folder, tmp_path):
    tokenizer = load_tokenizer(tiny_model_folder)
    tokenizer.pad_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(GradsError, match=r"has neither a padding nor an end token: name one in its special_tokens_map"):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(tiny_model_folder, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny_model_folder / "config.json").read_bytes())
    with pytest.raises(GradsError, match="holds no tokenizer that can be read: save_pretrained one"):
        load_tokenizer(tmp_path)


@torch.no_grad()
def test_soft_capping_of_attention_is_honoured(tmp_path):
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.5}
    config = Gemma2Config(**sizes, **heads, attn_logit_softcapping=0.5)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = load_model(tmp_path, "float32")
    assert model.config._attn_implementation == "eager"
    capped = logits(model)
    for layer in model.model.layers:
        layer.self_attn.attn_logit_softcapping = None
    assert (logits(model) - capped).abs().max() > 1e-3


def test_an_unknown_precision_is_an_error():
    with pytest.raises(KeyError):
        dtype("float16")


def test_a_model_whose_losses_would_be_wrong_is_refused(tiny_model_folder, tmp_path):
    config = GraniteConfig(
        vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, logits_scaling=4.0, initializer_range=0.3,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    for precision in ("float32", "bf16"):
        with pytest.raises(GradsError, match=r"GraniteForCausalLM are not .* losses would be wrong"):
            load_model(tmp_path, precision)


SAID = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("asked", ['strftime_now("%d %b %Y")', "strftime_now( '%d %b %Y' )"])
def test_prompts_are_the_same_on_every_day(asked, tiny_model_folder, tmp_path):
    tokenizer = load_tokenizer(tiny_model_folder)
    today = "{% if strftime_now is defined %}{% set today = " + asked + " %}{% endif %}{{ today }}"
    tokenizer.chat_template = today + ": {{ messages[0].content }}"
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.apply_chat_template(SAID, tokenize=False) == "26 Jul 2024: Hello"


def test_a_template_that_computes_with_the_date_is_refused(tiny_model_folder, tmp_path):
    tokenizer = load_tokenizer(tiny_model_folder)
    tokenizer.chat_template = "{% set f = '%d' %}{{ strftime_now(f) }}{{ messages[0].content }}"
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(GradsError, match="write a date in its place, such as '26 Jul 2024'"):
        load_tokenizer(tmp_path)


def test_every_named_template_is_dated(tiny_model_folder, tmp_path):
    tokenizer = load_tokenizer(tiny_model_folder)
    tokenizer.chat_template = {name: "{{ strftime_now('%Y') }}" + name for name in ("default", "tools")}
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).chat_template == {"default": "{{ '2024' }}default", "tools": "{{ '2024' }}tools"}
