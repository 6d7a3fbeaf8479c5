"""The Fisher information against autograd, a record at a time, on weights that are trained themselves."""

import torch
from torch.nn import functional

from grads.config.training import Adapter
from grads.data.records.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.training.base_model import BaseModel
from grads.training.fisher import fisher_diagonal
from grads.training.strategies.contract import Needs

EXAMPLES = [
    Example("a", [5, 6, 7, 8, 9], 2),
    Example("c", [9, 8, 7, 6, 5, 4, 3], 5, earlier=((1, 3),)),
    Example("d", [4, 9, 4, 8], 0),
]
NEEDS = Needs(base_weights=True, fisher=True)


def by_hand(folder):
    """Return the mean squared gradient of each weight."""
    model = load_model(folder, "float32")
    totals = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    for example in EXAMPLES:
        model.zero_grad()
        logits = model(input_ids=torch.tensor([example.input_ids])).logits[0]
        wanted = [position for position in example.response_positions if position > 0]
        labels = torch.tensor([example.input_ids[position] for position in wanted])
        functional.cross_entropy(logits[torch.tensor(wanted) - 1], labels, reduction="sum").backward()
        for name, weight in model.named_parameters():
            totals[name] += weight.grad.square() / len(EXAMPLES)
    return totals


def close(found, expected):
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-7)


def test_it_is_the_mean_squared_gradient_of_an_answers_log_likelihood(tiny_model_folder):
    model = load_model(tiny_model_folder, "float32").requires_grad_(False)
    found = fisher_diagonal(model, dict(model.named_parameters()), EXAMPLES, "float32")
    expected = by_hand(tiny_model_folder)
    assert found.keys() == expected.keys()
    close(found, expected)
    assert all(float(tensor.sum()) > 0 for tensor in found.values())
    assert not any(weight.requires_grad or weight.grad is not None for weight in model.parameters())


def moved(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 10)
    return model.train()


def test_with_an_adapter_it_is_that_of_the_frozen_weights_below_it(tiny_model_folder):
    """Also where the adapter is not at its start, and has dropout."""
    adapter = Adapter(rank=2, dropout=0.5, targets=["q_proj", "down_proj"])
    model = moved(fresh_adapter(load_model(tiny_model_folder, "float32"), adapter, seed=0))
    before = {name: (weight.requires_grad, weight.grad) for name, weight in model.named_parameters()}
    base = BaseModel(model, NEEDS, tiny_model_folder, "float32", EXAMPLES)
    assert base.fisher().keys() == base.changes().keys()
    assert len(base.fisher()) == 2 * 2
    close(base.fisher(), by_hand(tiny_model_folder))
    assert {name: (weight.requires_grad, weight.grad) for name, weight in model.named_parameters()} == before
    assert model.training
    assert base.fisher_tokens == 16


def test_of_all_weights_it_is_that_of_the_base_model_and_not_of_where_training_starts(tiny_model_folder):
    base = BaseModel(moved(load_model(tiny_model_folder, "float32")), NEEDS, tiny_model_folder, "float32", EXAMPLES)
    assert base.fisher().keys() == base.changes().keys()
    close(base.fisher(), by_hand(tiny_model_folder))
