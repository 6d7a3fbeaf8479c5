"""The penalty on weights, against its closed form."""

import pytest
import torch

from grads.config.training import Adapter
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.training.base_model import BaseModel
from grads.training.strategies.contract import Batch, Needs
from grads.training.strategies.l2_sp import STRATEGY, L2Sp

ALPHA = 0.3


def moved(model):
    """Move what is trained away from where it started."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 10)
    return model


def penalised(model, folder):
    """Return the penalty in the mean loss of three tokens whose logits are constant, and leave its gradients."""
    index, logits = torch.arange(3), torch.randn(3, 7)
    batch = Batch(torch.zeros(1, 9), index * 0, index, index, torch.ones(3), logits)
    base = BaseModel(model, STRATEGY.needs(L2Sp()), folder, "float32")
    losses = STRATEGY.loss(batch, base, L2Sp(alpha=ALPHA))
    losses.mean().backward()
    added = losses.detach() - batch.nll
    assert torch.allclose(added, added[0])
    return float(added[0])


def test_the_gradient_pulls_each_weight_to_where_it_started(tiny_model_folder):
    model = moved(load_model(tiny_model_folder, "float32"))
    start = dict(load_model(tiny_model_folder, "float32").named_parameters())
    found = penalised(model, tiny_model_folder)
    distances = {name: weight.detach() - start[name] for name, weight in model.named_parameters()}
    assert found == pytest.approx(
        ALPHA / 2 * sum(float(d.square().sum().detach()) for d in distances.values()), rel=1e-5
    )
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, ALPHA * distances[name], rtol=1e-4, atol=1e-7)


def test_with_an_adapter_it_is_the_distance_of_the_weights_that_it_makes(tiny_model_folder):
    """d/dB of alpha/2 ||s B A||^2 is alpha s^2 B A A^T, and d/dA is alpha s^2 B^T B A."""
    model = moved(fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2, alpha=6.0), seed=0))
    found, total = penalised(model, tiny_model_folder), 0.0
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    for name in [name for name in weights if "lora_A" in name]:
        down, up = weights[name], weights[name.replace("lora_A", "lora_B")]
        a, b = down.detach(), up.detach()
        torch.testing.assert_close(down.grad, ALPHA * 9 * b.T @ b @ a, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(up.grad, ALPHA * 9 * b @ a @ a.T, rtol=1e-4, atol=1e-6)
        total += 9 * float((b @ a).square().sum())
    assert len(weights) == 2 * 2 * 7
    assert found == pytest.approx(ALPHA / 2 * total, rel=1e-5)


def test_a_fresh_adapter_is_at_its_start(tiny_model_folder):
    """A is random and B zero: the weights are the base model's, and nothing pulls."""
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2), seed=0)
    assert penalised(model, tiny_model_folder) == 0
    assert all(float(w.grad.abs().max()) == 0 for w in model.parameters() if w.requires_grad)


def test_it_needs_the_base_models_weights_and_nothing_else():
    assert STRATEGY.needs(L2Sp()) == Needs(base_weights=True)
