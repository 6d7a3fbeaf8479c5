"""Adam's moments of an adapter's parameters, as one file next to the adapter.

<weights>.average           exp_avg, the running mean of gradients, in the shape of the weights
<weights>.average_squared   exp_avg_sq, the running mean of squared gradients

<weights> is the name of the adapted module, as the PEFT model calls it, followed by `.lora_A` or `.lora_B`. The header
holds the optimiser's steps, betas and epsilon.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grads.models.checkpoint import listed, refuse_nonfinite, sized
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path

AVERAGE = ".average"
SQUARED = ".average_squared"


@dataclass(frozen=True)
class Moments:
    """What Adam remembers at the end of a run.

    Attributes:
        average: first moments by name of the weights, float32.
        average_squared: second moments, by the same names.
        steps: optimiser steps that they have seen.
        betas: decay rates of both.
        epsilon: what keeps the optimiser from dividing by 0.
    """

    average: Mapping[str, Tensor]
    average_squared: Mapping[str, Tensor]
    steps: int
    betas: tuple[float, float]
    epsilon: float


def initial_moments(model: nn.Module) -> Moments:
    """Return the moments of a PEFT model's adapter before the first step of AdamW with torch's own settings: zeros."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    zeros = {_weights_name(name): torch.zeros_like(parameter).float() for name, parameter in trained.items()}
    return Moments(zeros, zeros, 0, (0.9, 0.999), 1e-8)


def moments_of(model: nn.Module, optimizer: Any) -> Moments:
    """Return what an optimiser remembers of a PEFT model's adapter, as it is at the moment: steps change it.

    Args:
        model: with one adapter, whose parameters are all that the optimiser trains.
        optimizer: Adam or AdamW, after at least one step.

    Raises:
        GradsError: something else than an adapter is trained.
    """
    average: dict[str, Tensor] = {}
    squared: dict[str, Tensor] = {}
    steps = 0
    for parameter_name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        state = optimizer.state[parameter]
        name = _weights_name(parameter_name)
        steps = int(state["step"])
        average[name] = state["exp_avg"].detach().float()
        squared[name] = state["exp_avg_sq"].detach().float()
    group = optimizer.param_groups[0]
    return Moments(average, squared, steps, tuple(group["betas"]), group["eps"])


def write_moments(path: Path, model: nn.Module, optimizer: Any) -> None:
    """Write the moments of all trained parameters of a PEFT model's adapter, as a whole or not at all.

    Args:
        path: the file, in the safetensors format.
        model: with one adapter, whose parameters are all that the optimiser trains.
        optimizer: Adam or AdamW, after at least one step.

    Raises:
        GradsError: something else than an adapter was trained.
    """
    from safetensors.torch import save_file

    found = moments_of(model, optimizer)
    tensors: dict[str, Tensor] = {}
    for name in found.average:
        tensors[name + AVERAGE] = found.average[name].cpu().contiguous()
        tensors[name + SQUARED] = found.average_squared[name].cpu().contiguous()
    first, second = found.betas
    header = {"steps": found.steps, "beta1": first, "beta2": second, "epsilon": found.epsilon}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {key: repr(value) for key, value in header.items()})
        _sort_header(temporary)


def _sort_header(path: Path) -> None:
    """Put what a safetensors file says of itself in order: it is written in any, and equal runs leave equal files."""
    with path.open("r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        # The length stays: spaces fill what is left, as the format has it.
        file.seek(8)
        file.write(ordered.ljust(length))


def load_moments(path: Path) -> Moments:
    """Read the moments that a run left.

    Raises:
        GradsError: the file is missing or damaged, or is none that `write_moments` wrote.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
            header = file.metadata() or {}
        moments = Moments(
            {key.removesuffix(AVERAGE): value for key, value in tensors.items() if key.endswith(AVERAGE)},
            {key.removesuffix(SQUARED): value for key, value in tensors.items() if key.endswith(SQUARED)},
            int(header["steps"]),
            (float(header["beta1"]), float(header["beta2"])),
            float(header["epsilon"]),
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise GradsError(f"{path} holds no moments of an adapter ({error}): run its preliminary epoch again") from None
    refuse_nonfinite(path, tensors.items())
    if below := [name + SQUARED for name, one in moments.average_squared.items() if bool((one < 0).any())]:
        raise GradsError(f"{path} holds means of squares below 0 in {listed(below)}: run its preliminary epoch again")
    return moments


def check_moments(moments: Moments, model: nn.Module, path: Path) -> None:
    """Refuse moments that are not those of a model's adapter, each of its weights and no others, in their sizes.

    Args:
        moments: as they were read.
        model: a PEFT model with the adapter.
        path: where they were read.

    Raises:
        GradsError: it names the weights.
    """
    adapted = [(name, weights) for name, weights in model.named_parameters() if "lora_" in name]
    shapes = {_weights_name(name): weights.shape for name, weights in adapted}
    for kind, found in ((AVERAGE, moments.average), (SQUARED, moments.average_squared)):
        faults = [f"{name}{kind} (missing)" for name in shapes.keys() - found.keys()]
        faults += [f"{name}{kind} (no such weights)" for name in found.keys() - shapes.keys()]
        both = [(name, found[name].shape, shape) for name, shape in shapes.items() if name in found]
        faults += [f"{name}{kind} ({sized(own)} for {sized(shape)})" for name, own, shape in both if own != shape]
        if faults:
            raise GradsError(
                f"{path} is not of this adapter: {listed(faults)} do not fit; run its preliminary epoch again"
            )


def _weights_name(parameter: str) -> str:
    """Return `<module>.lora_A` of `<module>.lora_A.<adapter>.weight`, or with B."""
    for matrix in ("lora_A", "lora_B"):
        module, found, _ = parameter.rpartition(f".{matrix}.")
        if found:
            return f"{module}.{matrix}"
    raise GradsError(f"moments are kept of a LoRA adapter only, not of {parameter}: set training.weights to lora")
