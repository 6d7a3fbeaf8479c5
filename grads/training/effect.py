"""Whether what a run saved does what was trained: it is loaded again, and must change the model's logits."""

from pathlib import Path
from typing import Any

import torch

from grads.config.section import Precision
from grads.data.records.formatting import Example
from grads.models.causal import pad_right
from grads.models.device import device
from grads.models.load import load_model
from grads.models.memory import give_back
from grads.runtime.errors import GradsError

TRAINED = "default"
SAVED = "saved"


@torch.no_grad()
def check_adapter(model: Any, folder: Path, example: Example, label: str) -> None:
    """Load the adapter that a run saved next to the trained one, on the same frozen weights, and compare.

    Args:
        model: the PEFT model that was trained; it is left with the saved adapter, in evaluation mode.
        folder: holds the saved adapter.
        example: what logits are made of.
        label: how errors call the run.

    Raises:
        GradsError: its weights are others than those that were trained, or leave the logits as they are without it.
    """
    from peft import get_peft_model_state_dict

    model.eval().load_adapter(str(folder), SAVED, torch_device=str(device()), local_files_only=True)
    trained, saved = (
        get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False) for name in (TRAINED, SAVED)
    )
    if trained.keys() != saved.keys() or not all(torch.equal(trained[name], saved[name]) for name in trained):
        raise GradsError(f"{label}: the adapter in {folder} is not the one that was trained: report it")
    model.set_adapter(SAVED)
    after = _logits(model, example)
    with model.disable_adapter():
        _check_change(_logits(model, example), after, label)


@torch.no_grad()
def check_weights(model_folder: Path, trained: Path, example: Example, precision: Precision, label: str) -> None:
    """Compare the logits of a prepared model with those by the weights that a run saved.

    The two are loaded one after the other; let go of the trained model and its optimiser before.

    Raises:
        GradsError: the weights leave the logits as they were.
    """
    give_back()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    before, after = (_logits(load_model(model_folder, precision, weights), example) for weights in (None, trained))
    _check_change(before, after, label)


def _logits(model: Any, example: Example) -> torch.Tensor:
    return model(pad_right([example.input_ids], 0).to(device())).logits.float()


def _check_change(before: torch.Tensor, after: torch.Tensor, label: str) -> None:
    change = (after - before).abs().max().item()
    if not change > 0:
        raise GradsError(f"{label}: the trained weights do not change the logits (largest change {change}): report it")
