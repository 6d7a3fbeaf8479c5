"""A run that trains nothing: another run's weights, moved back towards the base model's."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from grads.models.adapter import WEIGHTS, TrainedAdapter
from grads.models.checkpoint import ADAPTER
from grads.models.load import check_trained, load_model
from grads.runtime.files import atomic_path, read_object, write_json
from grads.runtime.progress import say

# Of PEFT's names: the factor of an adapter that is zero before training.
UP = ("lora_B", "lora_embedding_B")


@dataclass(frozen=True)
class Scaling:
    """What is made of another run.

    Attributes:
        label: how progress lines call it.
        arm: whose run it is.
        trained: folder of that run's adapter or weights.
        summary: that run's JSON file.
        factor: how much of its change stays, w0 + factor (w - w0), from 0 to 1.
        strategy: name of the strategy that asks for it.
    """

    label: str
    arm: str
    trained: Path
    summary: Path
    factor: float
    strategy: str


def scale_run(scaling: Scaling, model_folder: Path, trained: Path, summary: Path) -> None:
    """Write what a run made, scaled, and a summary that charges what the run took.

    Args:
        scaling: which run, and how much of it.
        model_folder: the prepared model.
        trained: folder to write the adapter or weights to.
        summary: JSON file to write; counts, seconds, operations and the curve are the run's.

    Raises:
        GradsError: the run's weights are damaged, or of another model.
    """
    say(f"{scaling.label}: {scaling.factor} of the change that the run of '{scaling.arm}' made")
    content = read_object(scaling.summary, f"run the training of '{scaling.arm}' again")
    adapter = check_trained(model_folder, scaling.trained)
    with atomic_path(trained) as folder:
        if adapter is None:
            _write_weights(scaling, model_folder, folder)
        else:
            _write_adapter(adapter, scaling.factor, folder)
    write_json(summary, content | _derived(scaling, content))


def _derived(scaling: Scaling, content: Mapping[str, Any]) -> dict[str, Any]:
    notes = {"run_of": scaling.arm, "scale": scaling.factor, "trained_by": content["strategy"]}
    return {"strategy": scaling.strategy, "scaled_from": scaling.arm, "notes": notes | dict(content["notes"])}


def _write_adapter(adapter: TrainedAdapter, factor: float, folder: Path) -> None:
    """Write an adapter whose B is multiplied: s B A is what it adds to a layer's weight."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor * factor if any(part in UP for part in name.split(".")) else tensor
        for name, tensor in adapter.tensors().items()
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / ADAPTER).write_bytes((adapter.folder / ADAPTER).read_bytes())


@torch.no_grad()
def _write_weights(scaling: Scaling, model_folder: Path, folder: Path) -> None:
    """Write all weights between those of the base model and the run's; at 0 and 1 they are these to the bit."""
    base = dict(load_model(model_folder, "float32").named_parameters())
    model: Any = load_model(model_folder, "float32", scaling.trained)
    for name, weight in model.named_parameters():
        weight.copy_(torch.lerp(base[name], weight, scaling.factor))
    model.save_pretrained(folder)
