"""Weights in the loss, against autograd by hand."""

import pytest
import torch
from torch.nn import functional

from grads.data.records.formatting import Example
from grads.training.step import IGNORED, Collator, collate

from .conftest import step_of

EXAMPLES = [
    Example("a", [5, 6, 7, 8, 9], 2),
    Example("b", [5, 6, 7], 1),
    Example("c", [9, 8, 7, 6, 5, 4, 3], 5, earlier=((1, 3),)),
]
WEIGHTS = {"a": [0.5, 0.0, 2.0], "c": [1.5, 0.25, 0.0, 3.0]}


@pytest.fixture
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=31, num_key_value_heads=1, **shape))


def step(model, weights, engine="fast", size=8, examples=EXAMPLES):
    """Return loss and gradients of one optimiser step, in micro-batches of so many records."""
    model.zero_grad()
    one = step_of(engine, size, weights)
    with one.engine.ready(model, examples):
        loss = one.add_gradient(model, examples)
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()])


def by_hand(model, weights):
    """Return the same, token by token."""
    total, divisor = torch.zeros(()), 0.0
    for example in EXAMPLES:
        counts = weights.get(example.id, [1.0] * example.response_tokens)
        logits = model(torch.tensor([example.input_ids])).logits[0].float()
        for position, count in zip(example.response_positions, counts, strict=True):
            nll = -functional.log_softmax(logits[position - 1], dim=-1)[example.input_ids[position]]
            total, divisor = total + count * nll, divisor + count
    loss = total / divisor
    model.zero_grad()
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("weights", [WEIGHTS, {"a": [0.0, 1.0, 0.0]}, {}, {"b": [0.25, 0.25]}])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_loss_and_gradient_are_those_of_the_weighted_mean(model, weights, engine, size):
    expected, gradient = by_hand(model, weights)
    loss, found = step(model, weights, engine, size)
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-7)


def test_weights_of_one_are_plain_training_to_the_bit(model):
    ones = {example.id: [1.0] * example.response_tokens for example in EXAMPLES}
    plain, batch = collate(EXAMPLES, 0), Collator(0, ones)(EXAMPLES)
    assert batch.keys() == plain.keys()
    assert all(torch.equal(batch[name], plain[name]) for name in plain)


def test_a_masked_token_is_in_the_context_and_has_no_label():
    batch = Collator(0, {"a": [1.0, 0.0, 1.0]})(EXAMPLES)
    assert batch["labels"][0].tolist() == [IGNORED, IGNORED, 7, IGNORED, 9, IGNORED, IGNORED]
    assert torch.equal(batch["input_ids"], collate(EXAMPLES, 0)["input_ids"])
    # Labels say it all, so the step is a plain one over fewer tokens.
    assert "weights" not in batch


def test_a_masked_token_moves_nothing(model):
    """Whatever stands at the end of a response, where no token follows it, changes nothing once it is masked."""
    other = Example("a", [5, 6, 7, 8, 20], 2)
    losses = [step(model, {"a": [1.0, 1.0, 0.0]}, examples=[one]) for one in (EXAMPLES[0], other)]
    assert losses[0][0] == losses[1][0]
    head = model.lm_head.weight
    assert head.grad[20].abs().max() > 0  # The softmax still pushes it down.
    unmasked = [step(model, {}, examples=[one])[0] for one in (EXAMPLES[0], other)]
    assert unmasked[0] != unmasked[1]


def test_every_batch_of_a_weighted_run_has_weights():
    collator = Collator(0, WEIGHTS)
    batch = collator([EXAMPLES[1]])
    assert batch["weights"].tolist() == [[0.0, 1.0, 1.0]]
    assert collator([EXAMPLES[2]])["weights"].tolist() == [[0.0, 1.5, 0.25, 0.0, 0.0, 0.0, 3.0]]


def test_the_scale_of_all_weights_together_changes_nothing(model):
    scaled = {id_: [4 * value for value in values] for id_, values in WEIGHTS.items()} | {"b": [4.0, 4.0]}
    one, other = step(model, WEIGHTS), step(model, scaled)
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    torch.testing.assert_close(one[1], other[1], rtol=1e-4, atol=1e-7)
