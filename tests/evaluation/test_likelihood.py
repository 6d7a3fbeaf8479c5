import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from grads.data.records.formatting import Example
from grads.evaluation import likelihood


def oracle(model, example):
    """Cross-entropy of the whole model's logits, one example at a time."""
    ids = torch.tensor([example.input_ids])
    labels = torch.full_like(ids, -100)
    for start, stop in (*example.earlier, (example.prompt_tokens, len(example.input_ids))):
        labels[0, start:stop] = ids[0, start:stop]
    with torch.no_grad():
        logits = model(ids).logits[0, :-1].float()
    return nn.functional.cross_entropy(logits, labels[0, 1:]).item()


def gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64))


def gemma2():
    config = Gemma2Config(
        vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, final_logit_softcapping=0.5,
    )  # fmt: skip
    return Gemma2ForCausalLM(config)


@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_equals_cross_entropy_alone_and_in_any_batch(model, formatter, records, counter, budget, likelihoods):
    examples = [formatter.example(r) for r in records]
    found = likelihoods(model, examples, budget, counter)
    assert [f.nll for f in found] == pytest.approx([oracle(model, e) for e in examples], rel=1e-5)
    assert [(f.id, f.tokens) for f in found] == [(e.id, e.response_tokens) for e in examples]
    assert counter.done == len(examples)


def test_long_responses_are_taken_in_parts(model, formatter, records, counter, monkeypatch, likelihoods):
    examples = [formatter.example(r) for r in records]
    whole = likelihoods(model, examples, 1000, counter)
    monkeypatch.setattr(likelihood, "POSITIONS_AT_ONCE", 3)
    parts = likelihoods(model, examples, 1000, counter)
    assert [p.nll for p in parts] == pytest.approx([w.nll for w in whole], rel=1e-6)


@pytest.mark.parametrize("build", [gpt2, gemma2])
def test_other_architectures(build, counter, likelihoods):
    torch.manual_seed(0)
    other = build().eval()
    conversation = Example("c", [11, 12, 90, 3, 4, 5, 6, 7], 6, earlier=((1, 3), (4, 5)))
    examples = [Example("a", [5, 6, 7, 8, 9], 2), Example("b", [11, 12, 90], 1), conversation]
    found = likelihoods(other, examples, 100, counter)
    assert [f.nll for f in found] == pytest.approx([oracle(other, e) for e in examples], rel=1e-5)
    assert [f.tokens for f in found] == [3, 2, 5]


def test_with_an_adapter(model, make_adapter, formatter, records, counter, likelihoods):
    examples = [formatter.example(r) for r in records]
    bare = likelihoods(model, examples, 200, counter)
    tuned = PeftModel.from_pretrained(model, make_adapter(0.3)).eval()
    found = likelihoods(tuned, examples, 200, counter)
    assert [f.nll for f in found] == pytest.approx([oracle(tuned, e) for e in examples], rel=1e-5)
    assert [f.nll for f in found] != pytest.approx([b.nll for b in bare], rel=1e-3)
