import pytest
import torch

from grads.data.formatting import Example
from grads.train.trainer import IGNORED, ResponseTrainer, collate

EXAMPLES = [
    Example("a", [5, 6, 7, 8, 9], 2),
    Example("b", [5, 6, 7], 1),
    Example("c", [9, 8, 7, 6, 5, 4, 3], 4),
]


@pytest.fixture
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=31, num_key_value_heads=1, **shape))


def loss_of(model, examples, items):
    trainer = object.__new__(ResponseTrainer)
    trainer.precision = "float32"
    return trainer.compute_loss(model, collate(examples, padding=0), num_items_in_batch=items)


def test_only_response_tokens_and_no_padding_carry_labels():
    batch = collate(EXAMPLES, padding=0)
    assert batch["input_ids"].shape == batch["labels"].shape == (3, 7)
    assert batch["labels"][1].tolist() == [IGNORED, 6, 7, *[IGNORED] * 4]
    assert (batch["labels"] != IGNORED).sum() == sum(e.response_tokens for e in EXAMPLES)


def test_earlier_answers_carry_labels_where_they_are_marked(model):
    conversation = Example("d", [9, 8, 7, 6, 5, 4, 3], 6, earlier=((1, 2), (3, 5)))
    batch = collate([EXAMPLES[0], conversation], padding=0)
    assert batch["labels"][1].tolist() == [IGNORED, 8, IGNORED, 6, 5, IGNORED, 3]
    expected = model(**batch, attention_mask=torch.ones_like(batch["input_ids"])).loss
    assert loss_of(model, [EXAMPLES[0], conversation], items=7).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_is_that_of_transformers(model):
    batch = collate(EXAMPLES, padding=0)
    expected = model(**batch, attention_mask=torch.ones_like(batch["input_ids"])).loss
    assert loss_of(model, EXAMPLES, items=8).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_does_not_depend_on_the_micro_batch(model):
    def gradients(parts):
        model.zero_grad()
        for part in parts:
            loss_of(model, part, items=8).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = gradients([EXAMPLES])
    parts = gradients([EXAMPLES[:1], EXAMPLES[1:]])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-6)
