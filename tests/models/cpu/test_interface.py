"""Our attention in whole models: the same as transformers' own, and only where it is plainly causal."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, MistralConfig

from grads.models.cpu import interface
from grads.models.cpu.attention import BLOCK, causal_attention
from grads.models.cpu.interface import NAME, quick_attention

SIZES = {
    "vocab_size": 61, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.3,
}  # fmt: skip


def gradient_of(model, ids):
    """Return logits, and the gradient of their weighted sum at the looked-up embeddings."""
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, use_cache=False).logits
    weight = torch.randn(logits.shape, generator=torch.Generator().manual_seed(3))
    return logits.detach(), torch.autograd.grad((logits * weight).sum(), embedded)[0]


@pytest.mark.parametrize("tokens", [1, 20, BLOCK + 2])
@pytest.mark.parametrize("kind", ["llama", "window"])
def test_a_model_is_the_same_as_with_eager_attention(kind, tokens, monkeypatch):
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES) if kind == "llama" else MistralConfig(**SIZES, head_dim=4, sliding_window=16)
    eager = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    quick = copy.deepcopy(eager)
    quick.set_attn_implementation("sdpa")
    used = []
    monkeypatch.setattr(interface, "causal_attention", lambda *inputs: used.append(1) or causal_attention(*inputs))
    ids = torch.randint(61, (2, tokens), generator=torch.Generator().manual_seed(1))
    expected, wanted = gradient_of(eager, ids)
    with quick_attention(quick):
        assert quick.config._attn_implementation == NAME
        found, gradient = gradient_of(quick, ids)
    # A record longer than the window needs a mask, which torch's attention takes.
    assert len(used) == (0 if kind == "window" and tokens > 16 else 2)
    assert quick.config._attn_implementation == "sdpa"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-4)


def test_a_mask_of_padding_is_minded(monkeypatch):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES), attn_implementation="sdpa").eval()
    ids = torch.randint(61, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    monkeypatch.setattr(interface, "causal_attention", lambda *_inputs: 1 / 0)
    with torch.no_grad(), quick_attention(model):
        found = model(input_ids=ids, attention_mask=mask).logits
        with pytest.raises(ZeroDivisionError):
            model(input_ids=ids)
    with torch.no_grad():
        torch.testing.assert_close(found, model(input_ids=ids, attention_mask=mask).logits)


def test_other_implementations_stay():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES), attn_implementation="eager")
    with quick_attention(model):
        assert model.config._attn_implementation == "eager"


def test_transformers_takes_eager_attention_for_soft_capped_scores():
    config = Gemma2Config(**SIZES, head_dim=4, attn_logit_softcapping=2.0)
    model = AutoModelForCausalLM.from_config(config)
    with quick_attention(model):
        assert model.config._attn_implementation == "eager"


def test_implementation_is_put_back_after_an_error():
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES), attn_implementation="sdpa")
    with pytest.raises(ZeroDivisionError), quick_attention(model):
        1 / 0  # noqa: B018
    assert model.config._attn_implementation == "sdpa"


def test_long_records_go_through_torchs_own_backward_pass(monkeypatch):
    calls = []
    monkeypatch.setattr(interface, "causal_attention", lambda *inputs: calls.append(1) or causal_attention(*inputs))
    monkeypatch.setattr(interface, "LONGEST", 20)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES), attn_implementation="sdpa").eval()
    for tokens, expected in ((20, 2), (21, 2)):
        ids = torch.arange(tokens).unsqueeze(0)
        with torch.no_grad():
            wanted = model(input_ids=ids).logits
            with quick_attention(model):
                found = model(input_ids=ids).logits
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        assert len(calls) == expected
