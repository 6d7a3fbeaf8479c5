"""One pass against autograd, one example at a time: every column and every vector, on many architectures."""

import copy
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grads.data.positions import predicted as positions
from grads.data.records.formatting import Example
from grads.models.causal import unwrap
from grads.probing.gradients.linear import TappedLinear
from grads.probing.gradients.passes import Pass
from grads.probing.measure import measure
from grads.probing.tolerances import EXACT, SAME, rough
from grads.signals.columns import columns
from grads.signals.measured import Measured
from grads.signals.names import GRADIENTS, MEASURES

Build = Callable[..., nn.Module]
Adapt = Callable[[nn.Module], nn.Module]
Errors = tuple[Callable[..., float], Callable[..., float]]
ARCHITECTURES = [
    "llama-tied", "llama-untied", "qwen2-tied", "qwen3-untied", "mistral-untied", "gemma2-tied", "gemma3-tied",
    "gpt2-tied", "gpt2-untied", "gpt_neox-untied", "phi-untied",
]  # fmt: skip
ROUGH = rough()
# Random models whose errors in bf16 are so many times the tolerances; docs/probe.md says so.
ROUGHER = {"qwen2-tied": 3.5, "gemma2-tied": 2.0, "gpt2-untied": 1.5, "gpt_neox-untied": 1.1}
# transformers computes soft-capped attention in its eager form only.
CASES = [
    (name, kind) for name in ARCHITECTURES for kind in ("eager", "sdpa") if (name, kind) != ("gemma2-tied", "sdpa")
]
# What is there without an adapter, and with one.
PLAIN, ADAPTED = sorted(MEASURES - {"adapter", "adam_features"}), sorted(MEASURES - {"weights"})


def measured(model: nn.Module, examples: list[Example], budget: int = 60, padding: int = 0, **options: Any) -> Measured:
    adapted = any("lora_" in name for name, _ in model.named_parameters())
    return measure(model, examples, ADAPTED if adapted else PLAIN, budget, padding, layer=1, **options)


def assert_equal_autograd(found: Measured, oracle: Any, examples: list[Example], errors: Errors) -> None:
    of_column, of_vector = errors
    for index, example in enumerate(examples):
        expected, vectors, losses = oracle(example)
        for name, values in found.columns.items():
            assert of_column(name, values[index], expected) <= EXACT, (example.id, name, values[index], expected[name])
        assert set(found.vectors) == set(vectors)
        for name, rows in found.vectors.items():
            assert rows.dtype == np.float32
            assert of_vector(rows[index], vectors[name]) <= EXACT, (example.id, name)
        np.testing.assert_allclose(found.token_losses[index], losses, rtol=1e-4, atol=1e-5)


def differences(found: Measured, other: Measured, errors: Errors) -> dict[str, float]:
    """Return the largest error over the records of each column and vector, `other` being the right one."""
    largest: dict[str, float] = {}
    for index in range(len(other.columns["response_nll"])):
        expected = {name: values[index] for name, values in other.columns.items()}
        for layer in ("embedding", "head"):
            expected[f"{layer}_rms"] = np.hypot(expected[f"{layer}_mean"], expected[f"{layer}_std"])
        for name, values in found.columns.items():
            largest[name] = max(largest.get(name, 0.0), errors[0](name, values[index], expected))
        for name, rows in found.vectors.items():
            largest[name] = max(largest.get(name, 0.0), errors[1](rows[index], other.vectors[name][index]))
    return largest


@pytest.fixture(scope="module")
def everything(llama: nn.Module, examples: list[Example]) -> Measured:
    return measured(llama, examples)


@pytest.mark.parametrize(("name", "attention"), CASES)
def test_everything_equals_autograd(
    name: str, attention: str, build: Build, autograd: Any, examples: list[Example], errors: Errors
) -> None:
    found = measured(build(name, attention), examples)
    assert tuple(found.columns) == columns(PLAIN)
    assert_equal_autograd(found, autograd(build(name)), examples, errors)


@pytest.mark.parametrize(("name", "attention"), CASES)
def test_everything_equals_autograd_with_an_adapter(
    name: str,
    attention: str,
    build: Build,
    with_adapter: Adapt,
    moments_for: Any,
    autograd: Any,
    examples: list[Example],
    errors: Errors,
) -> None:
    model = with_adapter(build(name, attention))
    moments = moments_for(model)
    found = measured(model, examples, moments=moments)
    assert tuple(found.columns) == columns(ADAPTED)
    assert_equal_autograd(found, autograd(with_adapter(build(name)), moments=moments), examples, errors)


@pytest.mark.parametrize("adapted", [False, True], ids=["base", "lora"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batches_order_and_padding_change_nothing(
    name: str,
    adapted: bool,
    build: Build,
    with_adapter: Adapt,
    moments_for: Any,
    examples: list[Example],
    errors: Errors,
) -> None:
    model = build(name, "eager" if name.startswith("gemma2") else "sdpa")
    model = with_adapter(model) if adapted else model
    options = {"moments": moments_for(model)} if adapted else {}
    alone = measured(model, examples, 1, **options)
    for budget, padding, step in ((10_000, 0, 1), (40, 5, 1), (70, 0, -1)):
        again = measured(model, examples[::step], budget, padding, **options)
        again.columns = {key: values[::step] for key, values in again.columns.items()}
        again.vectors = {key: rows[::step] for key, rows in again.vectors.items()}
        found = differences(again, alone, errors)
        assert max(found.values()) <= SAME, found


def test_few_logits_at_once_change_nothing(
    llama: nn.Module, examples: list[Example], errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measured(llama, examples, 10_000)
    monkeypatch.setattr("grads.probing.gradients.head.MOST_LOGITS", {"cpu": 15 * 97})
    monkeypatch.setattr("grads.probing.gradients.gradient_statistics.MOST_ENTRIES", 10 * 32)
    found = differences(measured(llama, examples, 10_000), expected, errors)
    assert max(found.values()) <= 2e-5, found


DOCUMENT = Path(__file__).parents[3] / "docs" / "probe.md"


def test_the_documented_tolerances_are_those_tested() -> None:
    rows = re.findall(r"^\| (`.*) \| ([0-9.]+) \| [0-9.]+ \| [0-9.]+ \|$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    assert {name: float(limit) for names, limit in rows for name in re.findall("`(.*?)`", names)} == ROUGH
    for limit in (EXACT, SAME):
        assert f"to {limit:.0e}".replace("e-0", "e-") in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_bf16_comes_near_float32(
    name: str, build: Build, with_adapter: Adapt, moments_for: Any, examples: list[Example], errors: Errors
) -> None:
    rough = build(name, "eager" if name.startswith("gemma2") else "sdpa").to(torch.bfloat16)
    for adapted in (False, True):
        model = with_adapter(rough) if adapted else rough
        # PEFT keeps the adapter of bf16 weights in float32.
        exact = copy.deepcopy(model).float()
        options = {"moments": moments_for(model)} if adapted else {}
        found = differences(measured(model, examples, **options), measured(exact, examples, **options), errors)
        batched = differences(measured(model, examples, 1, **options), measured(model, examples, **options), errors)
        assert {key: error for key, error in batched.items() if error > ROUGH.get(key, 1.0)} == {}
        # It counts tokens, and one whose loss is at the limit may fall on either side.
        found.pop("low_ppl_fraction")
        times = ROUGHER.get(name, 1.0)
        assert {key: error for key, error in found.items() if error > times * ROUGH[key]} == {}
        # They are not the same numbers by mistake.
        assert found["head_l2"] > 1e-4


@pytest.mark.parametrize("name", ["llama-tied", "gpt2-tied", "gemma2-tied", "phi-untied"])
@pytest.mark.parametrize(("kind", "allowed"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_logits_with_taps_equal_pefts(
    name: str, kind: torch.dtype, allowed: float, build: Build, with_adapter: Adapt, examples: list[Example]
) -> None:
    model = with_adapter(build(name).to(kind))
    ids = torch.tensor([examples[0].input_ids])
    with torch.no_grad():
        expected = model(input_ids=ids).logits.float()
        with Pass(model, {"adapter"}, 0).ready(examples[0]) as ready:
            assert len(ready.layers) >= 8
            found = model(input_ids=ids).logits.float()
        again = model(input_ids=ids).logits.float()
    assert (found - expected).abs().max() <= allowed * expected.abs().max()
    assert torch.equal(again, expected)


def state_of(model: nn.Module) -> dict[str, Any]:
    """Return all of a model that a pass changes and must put back."""
    return {
        "modules": list(model.named_modules()),
        "training": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
        "asking": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "gradients": [parameter.grad for parameter in model.parameters()],
        "attention": unwrap(model).config._attn_implementation,
    }


@pytest.mark.parametrize("stop", [None, "before", "inside"])
def test_a_model_is_left_as_it_was(
    stop: str | None, build: Build, with_adapter: Adapt, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_adapter(build("llama-untied", "sdpa")).train()
    before = state_of(model)
    if stop == "before":
        monkeypatch.setattr("grads.probing.gradients.passes.tapped", lambda *_arguments: 1 / 0)
    if stop == "inside":
        # In the backward pass, deep in the model.
        monkeypatch.setattr("grads.probing.gradients.linear.statistics_of", lambda *_gradients, **_options: 1 / 0)
    with pytest.raises(ZeroDivisionError) if stop else nullcontext():
        measure(model, examples, {"gradients", "adapter"}, 60, 0)
    assert state_of(model) == before
    assert before["attention"] == "sdpa"
    assert any(before["asking"].values())


def test_the_model_is_made_ready_inside(build: Build, with_adapter: Adapt, examples: list[Example]) -> None:
    model = with_adapter(build("llama-untied", "sdpa")).train()
    with Pass(model, {"adapter"}, 0).ready(examples[0]):
        assert not any(module.training for module in model.modules() if not isinstance(module, TappedLinear))
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert unwrap(model).config._attn_implementation != "sdpa"
        assert any(isinstance(module, TappedLinear) for module in model.modules())


def test_head_mean_is_zero_only_where_the_softmax_makes_it_so(
    llama: nn.Module, build: Build, examples: list[Example]
) -> None:
    assert not measure(llama, examples, {"gradients"}, 100, 0).columns["head_mean"].any()
    capped = measure(build("gemma2-tied"), examples, {"gradients"}, 100, 0).columns
    assert (abs(capped["head_mean"]) > 1e-6 * capped["head_l2"]).all()


@pytest.mark.parametrize("wanted", sorted(MEASURES - {"adapter", "adam_features", "mean_abs"}))
def test_each_measure_alone_is_what_it_is_among_all(
    wanted: str, llama: nn.Module, everything: Measured, examples: list[Example]
) -> None:
    found = measure(llama, examples, {wanted}, 60, 0, layer=1)
    assert tuple(found.columns) == columns({wanted})
    assert set(found.vectors) <= {wanted}
    for name, values in found.columns.items():
        np.testing.assert_allclose(values, everything.columns[name], rtol=2e-5, atol=1e-6, err_msg=name)
    for name, rows in found.vectors.items():
        np.testing.assert_allclose(rows, everything.vectors[name], rtol=1e-3, atol=1e-5, err_msg=name)
    if wanted == "token_losses":
        assert [len(part) for part in found.token_losses] == [len(positions(example)) for example in examples]


def test_no_backward_pass_where_no_gradient_is_asked_for(
    llama: nn.Module, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.autograd, "grad", lambda *_arguments, **_options: 1 / 0)
    measure(llama, examples, MEASURES - GRADIENTS, 60, 0)
    # The sums of absolutes alone are of nothing.
    measure(llama, examples, {"mean_abs", "losses"}, 60, 0)
    with pytest.raises(ZeroDivisionError):
        measure(llama, examples, {"weights"}, 60, 0)


@pytest.mark.parametrize("adapted", [False, True], ids=["base", "lora"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_loss_that_is_not_finite_stays_with_its_record(
    attention: str, adapted: bool, build: Build, with_adapter: Adapt, moments_for: Any, examples: list[Example]
) -> None:
    model = build("llama-untied", attention)
    model = with_adapter(model) if adapted else model
    options = {"moments": moments_for(model)} if adapted else {}
    with torch.no_grad():
        unwrap(model).get_input_embeddings().weight[96] = torch.inf
    bad = Example("bad", [5, 6, 96, 7, 8, 9], 3)
    expected, found = measured(model, examples, 10_000, **options), measured(model, [*examples, bad], 10_000, **options)
    assert not np.isfinite(found.columns["response_nll"][-1])
    for name, values in expected.columns.items():
        np.testing.assert_allclose(found.columns[name][:-1], values, rtol=1e-4, atol=1e-6, err_msg=name)
    for name, rows in expected.vectors.items():
        assert np.isfinite(rows).all()
        np.testing.assert_allclose(found.vectors[name][:-1], rows, rtol=1e-3, atol=1e-5, err_msg=name)


def test_no_record_waits_for_the_device_by_itself(
    llama: nn.Module, with_adapter: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[str] = []
    for name in ("cpu", "item", "tolist", "__bool__", "__float__", "__int__"):
        real = getattr(torch.Tensor, name)
        watched = lambda tensor, *rest, name=name, real=real: waits.append(name) or real(tensor, *rest)  # noqa: E731
        monkeypatch.setattr(torch.Tensor, name, watched)
    for model, wanted in ((llama, PLAIN), (with_adapter(llama), sorted(set(ADAPTED) - {"adam_features"}))):
        with Pass(model, wanted, 0).ready(Example("a", [5, 6, 7, 8], 2)) as ready:
            counts = []
            for number in (2, 9):
                waits.clear()
                ready.measure([Example(f"record{n}", [5, 6, 7 + n, 8, 9], 2) for n in range(number)])
                counts.append(len(waits))
        assert 0 < counts[1] == counts[0], (counts, waits)
