"""Gradients of single records at linear layers, taken while the activations' backward pass goes by.

For a layer with weights W and perhaps an adapter's path, y = W x + s B A x, with x and the loss gradient d at y a token
a row, the gradients of one record are

    dW = d^T x        dA = s (d B)^T x        dB = s d^T (x A^T)

sums over its tokens. No parameter asks for a gradient: each layer has a tap, a leaf of zeros that is not added to
anything, and the layer's backward pass hands the tap what was made of the record's gradients as if it were the tap's
own gradient. So nothing outlives a layer's backward pass but what was asked for, and a compiler sees no side effect.
Padding has d = 0, for no loss depends on it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grads.models.cpu.products import gram
from grads.probing.gradients.gradient_statistics import joined
from grads.runtime.errors import GradsError

# Numbers that an adapter's gradients become: sum of squares, sum, sum of absolutes, largest and smallest entry.
STATISTICS = 5
# What projects a gradient from its left (outputs x k) and right (inputs x k).
Sides = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Whole:
    """Makes records x width of the whole gradients of A (records x rank x inputs) and B (records x outputs x rank)."""

    make: Callable[[Tensor, Tensor], Tensor]
    width: int


@dataclass(frozen=True)
class Recipe:
    """What a layer's tap receives of each record, one after the other.

    Args:
        statistics: `STATISTICS` numbers of the adapter's gradients.
        absolute: the sum of absolutes among them.
        weights: the squared l2 norm of the gradient of W.
        factors: how to project the gradient of W; or those of A and of B, where there is an adapter.
        whole: what is made of the adapter's gradients as such.
    """

    statistics: bool = False
    absolute: bool = False
    weights: bool = False
    factors: tuple[Sides, ...] = ()
    whole: tuple[Whole, ...] = ()

    @property
    def widths(self) -> list[int]:
        """How many numbers each part has: statistics, whole, weights, factors, in this order."""
        parts = [STATISTICS] if self.statistics else []
        parts += [whole.width for whole in self.whole] + ([1] if self.weights else [])
        return parts + [left.shape[1] * right.shape[1] for left, right in self.factors]


class TappedLinear(nn.Module):
    """A linear layer with frozen weights and perhaps an adapter's low-rank path, and a tap for its gradients.

    Args:
        layer: `nn.Linear`, transformers' `Conv1D`, or PEFT's LoRA layer on one of them.
        recipe: what the tap receives.

    Raises:
        GradsError: see `parts`.
    """

    matrix: Tensor
    bias: Tensor | None
    low: Tensor | None
    high: Tensor | None

    def __init__(self, name: str, layer: Any, recipe: Recipe) -> None:
        super().__init__()
        self.name = name
        matrix, bias, self.adapter = parts(name, layer)
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        low, high, self.scale = self.adapter or (None, None, 1.0)
        # The scale is folded into B before rounding; a path in the weights' type is what training's autocast computes.
        self.register_buffer("low", None if low is None else low.to(matrix.dtype), persistent=False)
        self.register_buffer("high", None if high is None else (high * self.scale).to(matrix.dtype), persistent=False)
        self.recipe = recipe
        self.tap: Tensor | None = None

    def forward(self, given: Tensor) -> Tensor:
        """Return records x tokens x outputs."""
        if self.tap is None:
            output = nn.functional.linear(given, self.matrix, self.bias)
            if self.low is None or self.high is None:
                return output
            return output + (given @ self.low.mT) @ self.high.mT
        if given.dim() != 3 or len(given) != len(self.tap):
            raise GradsError(f"{self.name} does not see records one by one: choose other layers or another model")
        return Tapped.apply(given, self.tap, self)

    def make(
        self, gradient: Tensor, through: Tensor | None, given: Tensor, low: Tensor, factors: list[Tensor]
    ) -> Tensor:
        """Return records x anything, float32: what the recipe says of each record.

        Args:
            gradient: d, records x tokens x outputs.
            through: s d B.
            given: x.
            low: x A^T.
            factors: x, and x A^T, projected on the right.
        """
        made: list[Tensor] = []
        if through is not None and (self.recipe.statistics or self.recipe.whole):
            of_a = through.mT @ given
            of_b = (gradient.mT @ low) * self.scale
            if self.recipe.statistics:
                made.append(statistics_of(of_a.flatten(1), of_b.flatten(1), absolute=self.recipe.absolute))
            made += [whole.make(of_a.float(), of_b.float()) for whole in self.recipe.whole]
        if self.recipe.weights:
            made.append(squared_norm(gradient, given).unsqueeze(1))
        lefts = (gradient,) if through is None else (through, gradient)
        scales = (1.0,) if through is None else (1.0, self.scale)
        for (side, _), left, right, scale in zip(self.recipe.factors, lefts, factors, scales, strict=False):
            made.append(((left @ side).mT @ right).float() * scale)
        return torch.cat([part.flatten(1) for part in made], dim=1)


class Tapped(torch.autograd.Function):
    """W x + b + s B A x, with what a recipe makes of each record's gradients handed to the tap."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, tap: Tensor, layer: TappedLinear) -> Tensor:
        """Return records x tokens x outputs."""
        output = nn.functional.linear(given, layer.matrix, layer.bias)
        low = None
        if layer.low is not None and layer.high is not None:
            low = given @ layer.low.mT
            output += low @ layer.high.mT
        recipe = layer.recipe
        sources = (given,) if low is None else (given, low)
        factors = [source @ right for (_, right), source in zip(recipe.factors, sources, strict=False)]
        whole = recipe.statistics or recipe.weights or recipe.whole
        ctx.layer = layer
        ctx.save_for_backward(given if whole else None, low, *factors)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Return the gradient of the inputs, and what was made for the tap."""
        (gradient,) = gradients
        layer = ctx.layer
        given, low, *factors = ctx.saved_tensors
        through = None if layer.high is None else gradient @ layer.high
        below = None
        if ctx.needs_input_grad[0]:
            below = gradient @ layer.matrix
            if through is not None:
                below += through @ layer.low
        return below, layer.make(gradient, through, given, low, factors), None


def parts(name: str, layer: Any) -> tuple[Tensor, Tensor | None, tuple[Tensor, Tensor, float] | None]:
    """Return a layer's weights (outputs x inputs), bias, and its active adapter: A, B (both float32) and scale s.

    Raises:
        GradsError: it is another kind of layer, or has an adapter that does more than add s B A x.
    """
    from peft.tuners.lora import LoraLayer
    from transformers.pytorch_utils import Conv1D

    base = layer
    adapter = None
    if isinstance(layer, LoraLayer):
        base = layer.get_base_layer()
        adapter = _adapter(name, layer)
    if type(base) is nn.Linear:
        return base.weight.detach(), base.bias, adapter
    if type(base) is Conv1D:
        return base.weight.detach().T, base.bias, adapter
    raise GradsError(
        f"{name} is a {type(base).__name__}, whose gradients the probe cannot take record by record (it knows plain "
        "linear layers): choose other layers, or signals that do not need this one"
    )


def _adapter(name: str, layer: Any) -> tuple[Tensor, Tensor, float] | None:
    if layer.merged or layer.disable_adapters:
        state = "merged into its weights" if layer.merged else "switched off"
        raise GradsError(f"the adapter at {name} is {state}: probe with the adapter as a path of its own")
    active = [key for key in layer.active_adapters if key in layer.lora_A]
    if not active:
        return None
    (key,) = active if len(active) == 1 else (None,)
    variants = getattr(layer, "lora_variant", {})
    if key is None or key in variants or layer.lora_bias.get(key) or getattr(layer, "fan_in_fan_out", False) is None:
        raise GradsError(f"the adapter at {name} is more than one plain LoRA path: train one without DoRA or bias")
    return layer.lora_A[key].weight.detach().float(), layer.lora_B[key].weight.detach().float(), layer.scaling[key]


def statistics_of(*gradients: Tensor, absolute: bool) -> Tensor:
    """Return records x `STATISTICS` of gradients (each records x entries) taken together, float32.

    The sum of absolutes is 0 unless it is asked for.
    """
    columns = []
    for part in gradients:
        lowest, highest = part.aminmax(dim=1)
        squared = torch.linalg.vector_norm(part, dim=1, dtype=torch.float32).square()
        sums = part.sum(dim=1, dtype=torch.float32)
        absolutes = part.abs().sum(dim=1, dtype=torch.float32) if absolute else torch.zeros_like(sums)
        columns.append(torch.stack([squared, sums, absolutes, highest.float(), lowest.float()], dim=1))
    return joined(torch.stack(columns))


def squared_norm(gradient: Tensor, given: Tensor) -> Tensor:
    """Return ||d^T x||^2 of each record: d, records x tokens x outputs; x, records x tokens x inputs.

    In Gram form, sum over tokens s, t of (d_s . d_t)(x_s . x_t), where that is cheaper than the product itself.
    """
    tokens = gradient.shape[1]
    outputs = gradient.shape[2]
    inputs = given.shape[2]
    if tokens * (outputs + inputs) < outputs * inputs:
        return (gram(gradient) * gram(given)).sum(dim=(1, 2)).clamp(min=0)
    return (gradient.mT @ given).float().square().sum(dim=(1, 2))


@contextmanager
def tapped(model: nn.Module, recipes: Mapping[str, Recipe]) -> Iterator[dict[str, TappedLinear]]:
    """Put tapped layers in the place of the named ones; put those back at the end.

    Yields:
        the tapped layers by name, in the order of the names.
    """
    found = {name: (_parent(model, name), model.get_submodule(name)) for name in recipes}
    layers = {name: TappedLinear(name, layer, recipes[name]) for name, (_, layer) in found.items()}
    try:
        for name, (parent, _) in found.items():
            setattr(parent, name.rpartition(".")[2], layers[name])
        yield layers
    finally:
        for name, (parent, layer) in found.items():
            setattr(parent, name.rpartition(".")[2], layer)


def _parent(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])
