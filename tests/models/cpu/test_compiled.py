"""Compiled decoder layers: when they pay, and that they change nothing but rounding."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from grads.config.features import Features
from grads.data.records.formatting import Example
from grads.models.causal import decoder_layers
from grads.models.cpu.compiled import WORTH, _missing, compiled_layers, worth_compiling
from grads.probing.measure import measure

Adapt = Callable[[nn.Module], nn.Module]
MEASURES = ["gradients", "adapter", "sgd_features", "hidden", "el2n"]


def enough_tokens(model: nn.Module) -> int:
    """Return the fewest tokens of a pass that is worth compiling."""
    return int(np.ceil(WORTH["cpu"] / 2 / sum(parameter.numel() for parameter in model.parameters())))


def test_long_jobs_are_compiled_and_short_ones_never_wait(llama: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    enough = enough_tokens(llama)
    assert worth_compiling(llama, enough)
    assert not worth_compiling(llama, enough - 1)
    assert worth_compiling(llama, 1, "always")
    assert not worth_compiling(llama, enough, "never")


def test_without_a_compiler_it_says_so_and_goes_on(
    llama: nn.Module, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not worth_compiling(llama, 1)
    assert not capsys.readouterr().err
    assert not worth_compiling(llama, 1, "always")
    assert "no C++ compiler g++" in capsys.readouterr().err


def test_the_compiler_is_the_one_that_torch_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"clang++", "mine", "gcc"}
    monkeypatch.setattr(shutil, "which", lambda name: name if name in present else None)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("CXX", raising=False)
    assert _missing("cpu") == "C++ compiler g++"
    monkeypatch.setenv("CXX", "mine")
    assert _missing("cpu") is None
    # On a GPU it is Triton, which calls a C compiler.
    monkeypatch.setattr(torch.utils._triton, "has_triton", lambda: False)
    assert _missing("cuda") == "Triton for this device"
    monkeypatch.setattr(torch.utils._triton, "has_triton", lambda: True)
    monkeypatch.delenv("CC", raising=False)
    assert _missing("cuda") is None
    present.clear()
    assert _missing("cuda") == "C compiler gcc or clang"


def test_layers_are_as_they_were(llama: nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), compiled_layers(llama):
        assert all(layer._compiled_call_impl is not None for layer in decoder_layers(llama))
        _ = 1 / 0
    assert all(layer._compiled_call_impl is None for layer in decoder_layers(llama))


def test_what_is_made_of_whole_gradients_is_not_compiled(
    llama: nn.Module, with_adapter: Adapt, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_model: nn.Module) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr("grads.probing.gradients.passes.compiled_layers", refuse)
    dense = Features(projection="dense", dimension=8)
    measure(with_adapter(llama), examples, ["sgd_features"], 100, 0, features=dense, compiled=True)
    with pytest.raises(AssertionError, match="compiled"):
        measure(llama, examples, ["gradients"], 100, 0, compiled=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("adapted", [False, True], ids=["weights", "adapter"])
def test_compiled_layers_change_nothing_but_rounding(
    llama: nn.Module, with_adapter: Adapt, examples: list[Example], adapted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_adapter(llama) if adapted else llama
    measures = [name for name in MEASURES if adapted or name != "adapter"]
    expected = measure(model, examples, measures, 60, 0)
    compilations = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    found = measure(model, examples, measures, 60, 0, compiled=True)
    # One graph serves both layers and all shapes; a batch of one record may have one of its own.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - compilations in {1, 2}
    for name, values in expected.columns.items():
        scale = np.abs(values) if not name.endswith("_mean") else expected.columns[name.replace("_mean", "_l2")]
        np.testing.assert_allclose(found.columns[name], values, rtol=1e-4, atol=1e-4 * float(scale.max()))
    for name, vectors in expected.vectors.items():
        assert np.linalg.norm(found.vectors[name] - vectors) <= 1e-4 * np.linalg.norm(vectors)
