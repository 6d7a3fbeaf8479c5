"""What a run saved is loaded again, and must do what was trained, at the price of no second model in memory."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from grads.config.training import Adapter
from grads.data.records.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.runtime.errors import GradsError
from grads.training import effect
from grads.training import run as module
from grads.training.effect import check_adapter, check_weights

from .conftest import TRAINING, cell, train

EXAMPLE = Example("a", [40, 41, 42, 43, 44], 2)
FULL = TRAINING.model_copy(update={"weights": "full", "learning_rate": 1.0e-3})


@pytest.fixture
def trained(tiny_model_folder):
    """A tiny model with an adapter that does something."""
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2), seed=0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model


def test_an_adapter_that_comes_back_is_accepted(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    check_adapter(trained, tmp_path, EXAMPLE, "a run")


def test_an_adapter_that_does_nothing_is_refused(trained, tmp_path):
    for name, weight in trained.named_parameters():
        if "lora_B" in name:
            torch.nn.init.zeros_(weight)
    trained.save_pretrained(tmp_path)
    with pytest.raises(GradsError, match="a run: the trained weights do not change the logits"):
        check_adapter(trained, tmp_path, EXAMPLE, "a run")


@pytest.mark.parametrize("harm", [lambda name: None, lambda name: name.replace("q_proj", "q_prj")])
def test_an_adapter_that_comes_back_as_another_is_refused(trained, tmp_path, harm):
    trained.save_pretrained(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    kept = {harm(name) or name: value * (1 if harm(name) else 2) for name, value in load_file(path).items()}
    save_file(kept, path, {"format": "pt"})
    with pytest.raises(GradsError, match=r"a run: the adapter in .* is not the one that was trained"):
        check_adapter(trained, tmp_path, EXAMPLE, "a run")


def test_weights_that_are_those_of_the_model_are_refused(tiny_model_folder):
    with pytest.raises(GradsError, match="a run: the trained weights do not change the logits"):
        check_weights(tiny_model_folder, tiny_model_folder, EXAMPLE, "float32", "a run")


@pytest.fixture
def loaded(monkeypatch):
    """How many models are in memory, by their weights, each time that one is loaded."""
    found, held = [], []

    def load(*arguments):
        gc.collect()
        held.append(sum(one() is not None for one in found))
        model = load_model(*arguments)
        found.append(weakref.ref(next(model.parameters())))
        return model

    monkeypatch.setattr(module, "load_model", load)
    monkeypatch.setattr(effect, "load_model", load)
    return held


def test_an_adapter_is_trained_and_checked_on_one_model(tmp_path, records, tiny_model_folder, loaded):
    train(tiny_model_folder, cell(tmp_path, records, epochs=1))
    assert loaded == [0]


def test_weights_are_checked_when_the_trained_model_is_gone(tmp_path, records, tiny_model_folder, loaded):
    train(tiny_model_folder, cell(tmp_path, records, epochs=1), training=FULL)
    assert loaded == [0, 0, 0]


def test_a_run_whose_adapter_is_saved_wrongly_leaves_none(tmp_path, records, tiny_model_folder, monkeypatch):
    original = PeftModel.save_pretrained

    def save(self, folder, **options):
        original(self, folder, **options)
        (path,) = Path(folder).glob("*.safetensors")
        save_file({name: 0 * value for name, value in load_file(path).items()}, path, {"format": "pt"})

    monkeypatch.setattr(PeftModel, "save_pretrained", save)
    run = cell(tmp_path, records, epochs=1)
    with pytest.raises(GradsError, match="is not the one that was trained"):
        train(tiny_model_folder, run)
    assert not run.trained.exists()
