"""What is compared with must do what it says: the plain loss is the response's, the projection keeps lengths."""

import pytest
import torch

from benchmarks import ours, peers
from benchmarks.catalogue import BERGSON, entries, maker
from benchmarks.examples import synthetic
from benchmarks.protocol import Settings

# One needs an environment of its own, the other a model of its own.
LATER = (BERGSON, "encoder")


@pytest.fixture(scope="module")
def settings(tiny_model_folder):
    return Settings("", str(tiny_model_folder), threads=1, token_budget=40)


@pytest.fixture(scope="module")
def items():
    return synthetic(3, 12, vocabulary=200) + synthetic(1, 7, vocabulary=200, seed=1)


def response_nll(model, item):
    """Return the summed loss of one example's response, in a batch of its own."""
    logits = model(input_ids=torch.tensor([item.input_ids])).logits[0, item.prompt_tokens - 1 : -1]
    targets = torch.tensor(item.input_ids[item.prompt_tokens :])
    return float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))


def test_the_plain_loss_is_that_of_the_response_whatever_the_padding(settings, items):
    model = peers.load_model(settings.model, "float32")
    with torch.no_grad():
        together = float(peers._loss(model, items))
        losses = [response_nll(model, item) for item in items]
    tokens = sum(item.response_tokens for item in items)
    assert together == pytest.approx(sum(losses) / tokens, rel=1e-5)


def test_plain_takes_the_gradient_of_every_weight_and_drops_it(settings, items, monkeypatch):
    seen = []
    original = peers.load_model

    def load(*arguments):
        model = original(*arguments)
        for name, part in model.named_parameters():
            part.register_post_accumulate_grad_hook(lambda part, name=name: seen.append(name))
        seen.append(model)
        return model

    monkeypatch.setattr(peers, "load_model", load)
    maker("plain")(settings)(items)
    model, *names = seen
    assert set(names) == {name for name, _ in model.named_parameters()}
    assert len(names) == 2 * len(set(names))  # 12 + 12 + 12 tokens, then 7.
    assert all(part.grad is None for part in model.parameters())


def test_the_projection_keeps_squared_lengths_on_average(settings):
    model = peers._with_adapter(settings)
    found, expected = [], []
    for seed in range(30):
        torch.manual_seed(seed)
        for part in peers._trained(model):
            part.grad = torch.randn_like(part)
        found.append(float(peers.Projection(model, 16, seed)().square().sum()))
        expected.append(sum(float(part.grad.square().sum()) for part in peers._trained(model)))
    assert sum(found) / sum(expected) == pytest.approx(1.0, rel=0.05)


def test_the_projection_is_of_the_size_of_the_features(settings):
    model = peers._with_adapter(settings)
    adapted = sum("lora_A" in name for name, part in model.named_parameters() if part.requires_grad)
    assert adapted == 14
    assert peers.Projection(model, 16).width == adapted * 16 * 16


@pytest.mark.parametrize("name", [name for name, one in entries().items() if not one.compiled and name not in LATER])
def test_every_contestant_goes_over_the_examples(name, settings, items):
    maker(name)(settings)(items)


def test_every_compiled_contestant_has_an_eager_twin():
    known = entries()
    twins = {name.removesuffix("-compiled") for name, one in known.items() if one.compiled}
    assert twins == {"plain"} | {name for name, variant in ours.VARIANTS.items() if variant.compilable}
    assert twins <= set(known)
