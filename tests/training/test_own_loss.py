"""Strategies with a loss of their own: gradients of a step against autograd by hand, and whole runs."""

import math

import pytest
import torch
from torch.nn import functional

from grads.data.records.formatting import Example
from grads.models.load import load_model, load_tokenizer
from grads.runtime.files import read_json
from grads.training import run as module
from grads.training.base_model import BaseModel, OwnLoss
from grads.training.strategies.contract import Batch
from grads.training.strategies.registry import find_strategy, parse_parameters, strategies

from .conftest import TRAINING, cell, same, step_of, train, weights

EXAMPLES = [
    Example("a", [5, 6, 7, 8, 9], 2),
    Example("b", [5, 6, 7], 1),
    Example("c", [9, 8, 7, 6, 5, 4, 3], 5, earlier=((1, 3),)),
    Example("d", [4, 9, 4, 8], 3),
]
WEIGHTS = {"a": [0.5, 0.0, 2.0], "c": [1.5, 0.25, 0.0, 3.0]}
GIVEN = {
    "kl": {"coefficient": 0.7},
    "l2_sp": {"alpha": 0.2},
    "eaft": {"likeliest": 7, "power": 2.0},
    "talr": {"temperature": 0.5, "floor": 0.1},
}
FULL = TRAINING.model_copy(update={"weights": "full", "learning_rate": 1.0e-3})


def step(model, folder, name, token_weights, size):
    """Return loss and gradients of one optimiser step in micro-batches of a size."""
    strategy = find_strategy(name)
    parameters = parse_parameters(strategy, GIVEN[name])
    own_loss = OwnLoss(strategy, parameters, BaseModel(model, strategy.needs(parameters), folder, "float32"))
    one = step_of("fast", size, token_weights, own_loss)
    model.zero_grad()
    with one.engine.ready(model, EXAMPLES):
        loss = one.add_gradient(model, EXAMPLES)
    return loss.item(), gradients(model)


def gradients(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def by_hand(model, folder, name, token_weights):
    """Return the same token by token, with a base model that nothing has touched."""
    base = load_model(folder, "float32")
    total, divisor = torch.zeros(()), 0.0
    for example in EXAMPLES:
        counts = token_weights.get(example.id, [1.0] * example.response_tokens)
        ids = torch.tensor([example.input_ids])
        tuned, untuned = (one(input_ids=ids).logits[0].log_softmax(-1) for one in (model, base))
        losses = [-tuned[position - 1, example.input_ids[position]] for position in example.response_positions]
        counted = [loss.item() for loss, count in zip(losses, counts, strict=True) if count]
        for position, count, loss in zip(example.response_positions, counts, losses, strict=True):
            if name == "eaft":
                likeliest = tuned[position - 1].detach().exp().topk(7).values
                shares = likeliest / likeliest.sum()
                loss = (-(shares * shares.log()).sum() / math.log(7)) ** 2 * loss
            if name == "talr":
                tau = 0.5 * sum(counted) / len(counted) if counted else 1.0
                loss = max(math.exp(-loss.item() / tau), 0.1) * loss
            if name == "kl":
                p = untuned[position - 1].detach()
                loss = loss + 0.7 * (p.exp() * (p - tuned[position - 1])).sum()
            total, divisor = total + count * loss, divisor + count
    loss = total / divisor
    if name == "l2_sp":
        loss = loss + 0.1 * squared_distance(model, base)
    model.zero_grad()
    loss.backward()
    return loss.item(), gradients(model)


def squared_distance(model, base):
    if hasattr(model, "peft_config"):
        named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        downs = [name for name in named if "lora_A" in name]
        return sum((3 * named[name.replace("lora_A", "lora_B")] @ named[name]).square().sum() for name in downs)
    start = dict(base.named_parameters())
    return sum((weight - start[name].detach()).square().sum() for name, weight in model.named_parameters())


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("token_weights", [{}, {"a": [0.0, 1.0, 0.0]}, WEIGHTS], ids=["plain", "masked", "weighted"])
@pytest.mark.parametrize("name", GIVEN)
def test_loss_and_gradient_are_means_over_the_global_batch(trained, tiny_model_folder, name, token_weights, size):
    expected, gradient = by_hand(trained, tiny_model_folder, name, token_weights)
    loss, found = step(trained, tiny_model_folder, name, token_weights, size)
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6)


def test_what_a_batch_calls_nll_is_the_plain_loss_and_its_gradient_to_the_bit():
    torch.manual_seed(0)
    logits, labels = torch.randn(17, 259, requires_grad=True), torch.randint(259, (17,))
    batch = Batch(torch.zeros(1, 1), labels, labels, labels, torch.ones(17), logits)
    plain = functional.cross_entropy(logits, labels, reduction="none")
    assert torch.equal(batch.nll, plain)
    found, expected = (torch.autograd.grad(losses.sum() / 17, logits)[0] for losses in (batch.nll, plain))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("training", [TRAINING, FULL], ids=["adapter", "all weights"])
def test_a_penalty_of_weight_0_is_plain_training_to_the_bit(tmp_path, records, tiny_model_folder, training):
    """With dropout: what reads the base model draws no random numbers."""
    assert training.adapter.dropout > 0
    plain = cell(tmp_path, records, "plain", epochs=1)
    zero = [
        cell(tmp_path, records, name, epochs=1, strategy=name, strategy_parameters={key: 0.0})
        for name, key in (("kl", "coefficient"), ("l2_sp", "alpha"))
    ]
    train(tiny_model_folder, plain, *zero, training=training, micro_batch=2)
    for run in zero:
        assert same(plain, run)
        curves = [read_json(one.summary)["curve"] for one in (plain, run)]
        assert [entry["grad_norm"] for entry in curves[0]] == [entry["grad_norm"] for entry in curves[1]]
        # Equal losses of tokens are added up in another order.
        assert [e["loss"] for e in curves[0]] == pytest.approx([e["loss"] for e in curves[1]], rel=1e-6)


def test_a_penalty_holds_the_model_near_its_base_and_its_pass_is_charged(tmp_path, records, tiny_model_folder):
    plain = cell(tmp_path, records, "plain", epochs=1)
    kl = cell(tmp_path, records, "kl", epochs=1, strategy="kl", strategy_parameters={"coefficient": 20.0})
    near = cell(tmp_path, records, "near", epochs=1, strategy="l2_sp", strategy_parameters={"alpha": 20.0})
    train(tiny_model_folder, plain, kl, near)

    def moved(run):
        found = weights(run)
        downs = [name for name in found if "lora_A" in name]
        return sum(float((found[name.replace("lora_A", "lora_B")] @ found[name]).square().sum()) for name in downs)

    def divergence(run):
        ids = load_tokenizer(tiny_model_folder)("Define the term 7. meaning number 7", return_tensors="pt").input_ids
        with torch.no_grad():
            base, tuned = (load_model(tiny_model_folder, "float32", one)(ids).logits for one in (None, run.trained))
        return float(functional.kl_div(tuned.log_softmax(-1), base.log_softmax(-1), log_target=True, reduction="sum"))

    assert divergence(kl) < 0.5 * divergence(plain)
    assert moved(near) < 0.5 * moved(plain)
    summaries = [read_json(run.summary) for run in (plain, kl, near)]
    base = sum(weight.numel() for weight in load_model(tiny_model_folder, "float32").parameters())
    flops = [summary["flops"] for summary in summaries]
    assert flops[1] - flops[0] == 2 * base * summaries[0]["tokens"]
    assert flops[2] == flops[0]


def stopped(monkeypatch, at=22):
    """Stop the next run before a step, then note the steps of those that follow; return the list of them."""
    original, steps = module.ResponseTrainer.training_step, []

    def step(self, *arguments):
        if self.state.global_step == at and at not in steps:
            steps[:] = [at]
            raise KeyboardInterrupt
        steps.append(self.state.global_step)
        return original(self, *arguments)

    monkeypatch.setattr(module.ResponseTrainer, "training_step", step)
    return steps


def test_a_killed_run_with_a_loss_of_its_own_resumes_to_the_same_weights(
    tmp_path, records, tiny_model_folder, monkeypatch
):
    own = {"strategy": "kl", "strategy_parameters": {"coefficient": 0.5}}
    clean, killed = (cell(tmp_path, records, name, **own) for name in ("clean", "killed"))
    train(tiny_model_folder, clean)
    steps = stopped(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model_folder, killed)
    train(tiny_model_folder, killed)
    assert steps[:2] == [22, 20]
    assert same(clean, killed)


def test_another_parameter_of_the_loss_does_not_resume_from_its_checkpoints(
    tmp_path, records, tiny_model_folder, monkeypatch
):
    """Neither settings nor visits nor weights of tokens tell the two apart."""
    own = {"strategy": "kl", "strategy_parameters": {"coefficient": 0.5}}
    steps = stopped(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model_folder, cell(tmp_path, records, **own))
    train(tiny_model_folder, cell(tmp_path, records, **own | {"strategy_parameters": {"coefficient": 0.6}}))
    assert steps[:2] == [22, 0]


def test_the_code_of_the_strategy_is_part_of_what_shapes_a_run(tmp_path, records, tiny_model_folder, monkeypatch):
    asked = []
    original = module.code_version
    monkeypatch.setattr(module, "code_version", lambda *modules: (asked.append(modules), original(*modules))[1])
    train(tiny_model_folder, cell(tmp_path, records, epochs=1, strategy="l2_sp"))
    assert asked == [("grads.training.run", "grads.training.strategies.l2_sp")]


@pytest.mark.parametrize("name", strategies())
def test_what_reads_the_base_model_is_a_loss(name):
    strategy = strategies()[name]
    needs = strategy.needs(strategy.parameters())
    assert strategy.loss is not None or not (needs.base_logits or needs.base_weights)
