"""An adapter's path and the layer below it as one operation with a backward pass of its own.

For a layer with frozen weights W and an adapter A (rank x inputs), B (outputs x rank) of scale s,

    y = W x + s B A x        dx = W^T d + s A^T B^T d        dA = s (B^T d) x^T        dB = s d (A x)^T

with d the gradient at y. PEFT's modules compute the same in many operations, each with its own copies: the input in
another type, the scaled path, its sum with the layer's output. Here products are added where their result is, in the
type of the layer's weights or of autocast, and A and B are cast once a pass; their gradients are float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grads.models.causal import unwrap

if TYPE_CHECKING:
    from peft.tuners.lora import Linear


class AdaptedLinear(torch.autograd.Function):
    """W x + b + s B A x' of a frozen W, where x' is x or what dropout left of it."""

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, dropped: Tensor | None, matrix: Tensor, bias: Tensor | None, low: Tensor, high: Tensor
    ) -> Tensor:
        """Return y, ... x outputs.

        Args:
            ctx: autograd's.
            given: x, ... x inputs.
            dropped: x'; None where it is x.
            matrix: W, outputs x inputs.
            bias: b, if there is one.
            low: A, rank x inputs.
            high: s B, outputs x rank.
        """
        rows = given.reshape(-1, given.shape[-1])
        through = rows if dropped is None else dropped.reshape(rows.shape)
        down = low.to(rows.dtype)
        up = high.to(rows.dtype)
        middle = through @ down.mT
        output = rows @ matrix.mT if bias is None else torch.addmm(bias, rows, matrix.mT)
        output.addmm_(middle, up.mT)
        ctx.save_for_backward(through, matrix, down, up, middle)
        ctx.apart = dropped is not None
        ctx.shape = given.shape
        return output.view(*given.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, x', A and s B."""
        through, matrix, down, up, middle = ctx.saved_tensors
        upper = gradients[0].reshape(-1, matrix.shape[0])
        narrow = upper @ up
        of_low = (narrow.mT @ through).float()
        of_high = (upper.mT @ middle).float()
        of_given = None
        of_dropped = None
        if ctx.needs_input_grad[0]:
            of_given = upper @ matrix
            if not ctx.apart:
                of_given.addmm_(narrow, down)
            of_given = of_given.view(ctx.shape)
        if ctx.apart and ctx.needs_input_grad[1]:
            of_dropped = (narrow @ down).view(ctx.shape)
        return of_given, of_dropped, None, None, of_low, of_high


def adapted_forward(layer: "Linear", given: Tensor) -> Tensor:
    """Return what a LoRA layer makes of its input: the `forward` of PEFT's layer in one operation."""
    if layer.disable_adapters:
        return layer.base_layer(given)
    name = layer.active_adapters[0]
    base: Any = layer.base_layer
    matrix = base.weight if isinstance(base, nn.Linear) else base.weight.mT
    kind = given.device.type
    computed = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else matrix.dtype
    given = given.to(computed)
    dropout: nn.Module = layer.lora_dropout[name]
    dropped = dropout(given) if layer.training and isinstance(dropout, nn.Dropout) else None
    low: Any = layer.lora_A[name]
    high: Any = layer.lora_B[name]
    # Casts are the operation's own.
    with torch.autocast(kind, enabled=False):
        return AdaptedLinear.apply(
            given, dropped, matrix.to(computed), base.bias, low.weight, high.weight * layer.scaling[name]
        )


def is_plain(layer: nn.Module) -> bool:
    """Return whether a module is a LoRA layer on a frozen linear layer that computes just W x + b + s B A x."""
    from peft.tuners.lora import Linear
    from transformers.pytorch_utils import Conv1D

    if type(layer) is not Linear or layer.merged or len(layer.active_adapters) != 1:
        return False
    name = layer.active_adapters[0]
    if name not in layer.lora_A or layer.lora_variant or getattr(layer.lora_B[name], "bias", None) is not None:
        return False
    base: Any = layer.base_layer
    return type(base) in (nn.Linear, Conv1D) and not base.weight.requires_grad


@contextmanager
def adapted_layers(model: nn.Module) -> Iterator[None]:
    """Let the plain LoRA layers of a PEFT model compute in one operation; afterwards they are as they were."""
    layers = [layer for layer in unwrap(model).modules() if is_plain(layer)]
    for layer in layers:
        layer.forward = MethodType(adapted_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
