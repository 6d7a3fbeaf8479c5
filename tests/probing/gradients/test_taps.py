"""Which layers get a tap, and what is read of them: projections of every kind against those of whole gradients."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from grads.config.features import Features
from grads.data.records.formatting import Example
from grads.models.moments import Moments
from grads.probing.gradients.passes import Pass
from grads.probing.gradients.taps import Taps
from grads.probing.measure import measure
from grads.runtime.errors import GradsError

Build = Callable[..., nn.Module]
Adapt = Callable[[nn.Module], nn.Module]
FEATURES = {
    "small": Features(size=3, seed=7),
    "whole": Features(size=200),
    "pooled": Features(size=5, pooled=True),
    "pooled wide": Features(size=20, pooled=True, unit=True),
    "dense": Features(projection="dense", dimension=24, seed=3),
    "dense unit": Features(projection="dense", dimension=24, unit=True),
    "unit": Features(size=4, unit=True),
}
MEASURES = {"sgd_features", "adam_features", "adapter"}


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("name", ["llama-tied", "gpt2-tied"])
def test_vectors_are_the_projections_of_whole_gradients(
    name: str,
    kind: str,
    build: Build,
    with_adapter: Adapt,
    moments_for: Any,
    autograd: Any,
    examples: list[Example],
    errors: Any,
) -> None:
    features, some = FEATURES[kind], examples[-4:]
    adapted = with_adapter(build(name, "sdpa"))
    models = [(adapted, moments_for(adapted), MEASURES)]
    if features.projection == "kronecker":
        models.append((build(name, "sdpa"), None, {"sgd_features", "weights"}))
    for model, moments, measures in models:
        found = measure(model, some, measures, 60, 0, features=features, moments=moments)
        oracle = autograd(model, features, moments)
        assert set(found.vectors) == measures - {"adapter", "weights"}
        for index, example in enumerate(some):
            expected, vectors, _ = oracle(example)
            for column, values in found.columns.items():
                assert errors[0](column, values[index], expected) <= 1e-4, column
            for key, rows in found.vectors.items():
                assert rows[index].shape == vectors[key].shape
                assert errors[1](rows[index], vectors[key]) <= 1e-4, key
                assert not features.unit or np.linalg.norm(rows[index]) == pytest.approx(1, rel=1e-5)


def test_without_projection_inner_products_are_those_of_the_gradients(
    llama: nn.Module, with_adapter: Adapt, examples: list[Example]
) -> None:
    found = measure(with_adapter(llama), examples, {"adapter", "sgd_features"}, 60, 0, features=Features(size=200))
    lengths = np.linalg.norm(found.vectors["sgd_features"], axis=1)
    np.testing.assert_allclose(lengths, found.columns["adapter_l2"], rtol=1e-4)


def test_a_fresh_adapter_has_gradients_of_b_only(
    llama: nn.Module, autograd: Any, examples: list[Example], errors: Any
) -> None:
    torch.manual_seed(0)
    model = get_peft_model(copy.deepcopy(llama), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")).eval()
    found = measure(model, examples, {"adapter", "mean_abs", "sgd_features"}, 60, 0)
    oracle = autograd(model)
    for index, example in enumerate(examples):
        expected, vectors, _ = oracle(example)
        for name, values in found.columns.items():
            assert errors[0](name, values[index], expected) <= 1e-4, name
        assert errors[1](found.vectors["sgd_features"][index], vectors["sgd_features"]) <= 1e-4
    assert (found.vectors["sgd_features"] == 0).mean() > 0.2


def test_patterns_choose_the_modules_of_features_but_not_of_statistics(
    llama: nn.Module, with_adapter: Adapt, autograd: Any, examples: list[Example], errors: Any
) -> None:
    model = with_adapter(llama)
    features = Features(size=3, modules=["*.layers.1.*.q_proj", "*.down_proj"])
    taps = Taps(model, {"sgd_features"}, features)
    assert [name.split("layers.")[1] for name, recipe in taps.recipes.items() if recipe.widths] == [
        "0.mlp.down_proj", "1.self_attn.q_proj", "1.mlp.down_proj",
    ]  # fmt: skip
    found = measure(model, examples, {"sgd_features", "adapter"}, 60, 0, features=features)
    assert found.vectors["sgd_features"].shape == (len(examples), 3 * 2 * 9)
    expected, _, _ = autograd(model)(examples[0])
    assert errors[0]("adapter_l2", found.columns["adapter_l2"][0], expected) <= 1e-4
    with pytest.raises(GradsError, match=r"none of the modules whose gradients are taken matches 'q_proj'"):
        Taps(model, {"sgd_features"}, Features(modules=["q_proj"]))
    # Where no features are taken, nobody reads it.
    assert len(Taps(model, {"adapter"}, Features(modules=["q_proj"])).recipes) == 14


def test_no_taps_where_nothing_needs_them(llama: nn.Module, with_adapter: Adapt) -> None:
    assert Taps(llama, {"gradients", "hidden", "el2n"}, Features()).recipes == {}
    # An adapter's path is quicker without PEFT's modules, but nothing is taken of it.
    assert not any(recipe.widths for recipe in Taps(with_adapter(llama), {"gradients"}, Features()).recipes.values())
    assert len(Taps(with_adapter(llama), {"adapter"}, Features()).recipes) == 14
    assert len(Taps(llama, {"weights"}, Features()).recipes) == 14


def test_shards_and_batches_have_the_same_projection(
    llama: nn.Module, with_adapter: Adapt, examples: list[Example]
) -> None:
    model = with_adapter(llama)
    whole, first, last = (measure(model, e, {"sgd_features"}, 50, 0) for e in (examples, examples[:5], examples[5:]))
    both = np.concatenate([first.vectors["sgd_features"], last.vectors["sgd_features"]])
    np.testing.assert_allclose(both, whole.vectors["sgd_features"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("wanted", ["adapter", "adam_features"])
def test_a_model_without_an_adapter_is_refused(wanted: str, llama: nn.Module) -> None:
    with pytest.raises(GradsError, match=r"the model has no LoRA adapter .*: set training\.weights: lora"):
        Taps(llama, {wanted}, Features())


def test_moments_are_needed_for_adams_direction(llama: nn.Module, with_adapter: Adapt, moments_for: Any) -> None:
    model = with_adapter(llama)
    with pytest.raises(GradsError, match="adam_features need the moments of the preliminary epoch"):
        Taps(model, {"adam_features"}, Features())
    known: Moments = moments_for(model)
    other = Moments({}, {}, known.steps, known.betas, known.epsilon)
    with pytest.raises(GradsError, match=r"the moments .* not of .*layers\.0\.self_attn\.q_proj"):
        Taps(model, {"adam_features"}, Features(), other)


def test_what_needs_all_weights_is_refused_next_to_an_adapter(llama: nn.Module, with_adapter: Adapt) -> None:
    with pytest.raises(GradsError, match=r"weights_l2 is of all weights: it is measured where there is no adapter"):
        Taps(with_adapter(llama), {"weights"}, Features())
    with pytest.raises(GradsError, match=r"probe\.features\.projection is dense, which is for an adapter's gradients"):
        Taps(llama, {"sgd_features"}, Features(projection="dense"))


def test_nothing_goes_back_below_the_lowest_layer_that_is_asked_for(llama: nn.Module, examples: list[Example]) -> None:
    """What the forward pass keeps for the backward pass tells how far down that one goes."""
    kept = {}
    for pattern in ("*.layers.1.*", "*.layers.0.*"):
        with Pass(llama, ["sgd_features"], 0, features=Features(size=4, modules=[pattern])).ready(examples[0]) as ready:
            held: list[int] = []
            with torch.autograd.graph.saved_tensors_hooks(lambda t, held=held: held.append(0) or t, lambda t: t):
                ready.measure(examples[:3])
        kept[pattern] = len(held)
    assert 0 < kept["*.layers.1.*"] < 0.7 * kept["*.layers.0.*"]
