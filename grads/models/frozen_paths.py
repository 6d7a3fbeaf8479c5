"""A trained adapter's layers without PEFT's modules: W x + s B (A x), for passes that need no gradients.

PEFT's module of a linear layer makes eight operations of what takes three, looks its adapter up by name in each call,
and under autocast converts A and B again for each. Here both are converted once. The adapter stays a low-rank path next
to the frozen weights: nothing is merged, and nothing is rounded into them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from grads.models.causal import unwrap


class LowRankLinear(nn.Module):
    """A frozen linear layer with a low-rank path, which is multiplied in the type that the layer's output has.

    Args:
        base: the layer, ... x inputs to ... x outputs.
        down: A, rank x inputs.
        up: B, outputs x rank.
        scale: s.
        dtype: of the products: the weights' own, or that of autocast.
    """

    def __init__(self, base: nn.Linear | Conv1D, down: Tensor, up: Tensor, scale: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.base = base
        self.scale = scale
        self.register_buffer("down", down.detach().to(dtype).T, persistent=False)
        self.register_buffer("up", up.detach().to(dtype).T, persistent=False)
        self.down: Tensor
        self.up: Tensor

    @property
    def weight(self) -> Tensor:
        """The frozen weights, which some models ask for to know a layer's type."""
        return self.base.weight

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's output."""
        result = self.base(inputs)
        low = inputs.flatten(0, -2).to(self.down.dtype) @ self.down
        # In place: nothing else holds what a linear layer has just made.
        result.view(-1, result.shape[-1]).addmm_(low, self.up, alpha=self.scale)
        return result


@contextmanager
def low_rank_paths(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Replace the PEFT modules of plain low-rank paths inside the block; others stay as they are.

    Args:
        model: in evaluation mode, with or without an adapter.
        dtype: of the products.
    """
    core: Any = unwrap(model)
    places = [(name, module) for name, module in core.named_modules() if _is_plain(module)]
    try:
        for name, module in places:
            _put(core, name, _converted(module, dtype))
        yield
    finally:
        for name, module in places:
            _put(core, name, module)


def _put(core: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(core.get_submodule(parent), last, module)


def _is_plain(module: Any) -> bool:
    """Return whether a module is a linear layer with one active low-rank path, and nothing more."""
    from peft.tuners.lora.layer import Linear

    if type(module) is not Linear or module.training or module.merged or module.disable_adapters:
        return False
    active = [name for name in module.active_adapters if name in module.lora_A]
    if len(active) != 1 or active[0] in module.lora_variant or type(module.base_layer) not in (nn.Linear, Conv1D):
        return False
    return module.lora_A[active[0]].bias is None and module.lora_B[active[0]].bias is None


def _converted(module: Any, dtype: torch.dtype) -> LowRankLinear:
    (name,) = (name for name in module.active_adapters if name in module.lora_A)
    return LowRankLinear(
        module.base_layer, module.lora_A[name].weight, module.lora_B[name].weight, module.scaling[name], dtype
    )
