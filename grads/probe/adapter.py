"""Gradients of single examples with respect to a LoRA adapter's parameters, many examples at a time.

For a linear layer with the adapter's path s B A x, with d the loss gradient at the layer's output, the gradients of one
example are dA = s (d B)^T x and dB = s d^T (x A^T), sums over its tokens (d and x have a token a row). Both are taken
from the layer's input and the gradient at its output while the activations' backward pass goes by; the adapter's
parameters need not ask for gradients. Padding has d = 0, for no loss depends on it.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grads.runtime.errors import GradsError


class AdapterTaps:
    """Statistics of each example's gradient over all parameters of the active LoRA adapter.

    Args:
        model: a PEFT model with one active LoRA adapter on linear layers. While B is 0, as before any training, the
            gradients of A are 0 whatever the example; they count among the parameters all the same.

    Raises:
        GradsError: there is no such adapter.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layers = {name: module for name, module in model.named_modules() if _is_adapted(module)}
        if not self.layers:
            raise GradsError("the model has no LoRA adapter whose gradients could be taken: set training.weights: lora")
        self.entries = sum(part.numel() for layer in self.layers.values() for part in _matrices(layer)[:2])

    @contextmanager
    def watch(self, examples: int) -> Iterator[None]:
        """Tap one forward and backward pass over a batch of so many examples, examples x tokens x width."""
        self.squared, self.total, self.absolute = (torch.zeros(examples, dtype=torch.float64) for _ in range(3))
        self.highest, self.lowest = torch.full((examples,), -math.inf), torch.full((examples,), math.inf)
        self.seen: set[str] = set()
        hooks = [layer.register_forward_hook(self._tap(name)) for name, layer in self.layers.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def statistics(self) -> list[dict[str, float]]:
        """Return l2, max, min, mean, std (population) and mean_abs for each example of the batch that went by.

        Raises:
            GradsError: no gradient came to some of the layers.
        """
        if missing := sorted(self.layers.keys() - self.seen):
            raise GradsError(f"no gradient reached the adapter at {missing[0]}: choose other training.adapter.targets")
        mean = self.total / self.entries
        columns = {
            "l2": self.squared.sqrt(),
            "max": self.highest,
            "min": self.lowest,
            "mean": mean,
            "std": (self.squared / self.entries - mean.square()).clamp(min=0).sqrt(),
            "mean_abs": self.absolute / self.entries,
        }
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _tap(self, name: str) -> Any:
        def tap(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            given = inputs[0].detach()
            if given.dim() != 3 or len(given) != len(self.total):
                raise GradsError(f"the adapter at {name} does not see examples one by one: choose other targets")
            output.register_hook(lambda gradient: self._add(name, layer, given, gradient))

        return tap

    @torch.no_grad()
    def _add(self, name: str, layer: Any, given: Tensor, gradient: Tensor) -> None:
        if name in self.seen:
            raise GradsError(f"the adapter at {name} is used twice in one pass: choose other training.adapter.targets")
        self.seen.add(name)
        low, high, scale = _matrices(layer)
        given, gradient = given.float(), gradient.float() * scale
        for part in ((gradient @ high).mT @ given, gradient.mT @ (given @ low.T)):
            flat = part.flatten(1)
            wide = flat.double()
            self.squared += wide.square().sum(dim=1).cpu()
            self.total += wide.sum(dim=1).cpu()
            self.absolute += wide.abs().sum(dim=1).cpu()
            self.highest = torch.maximum(self.highest, flat.amax(dim=1).cpu())
            self.lowest = torch.minimum(self.lowest, flat.amin(dim=1).cpu())


def _is_adapted(module: nn.Module) -> bool:
    from peft.tuners.lora import LoraLayer

    return isinstance(module, LoraLayer) and any(name in module.lora_A for name in module.active_adapters)


def _matrices(layer: Any) -> tuple[Tensor, Tensor, float]:
    """Return A (rank x inputs), B (outputs x rank) and the scale s of a layer's one active adapter."""
    (name,) = (name for name in layer.active_adapters if name in layer.lora_A)
    return layer.lora_A[name].weight.float(), layer.lora_B[name].weight.float(), float(layer.scaling[name])
