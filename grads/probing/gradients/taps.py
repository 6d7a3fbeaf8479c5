"""What the taps of a model's linear layers are to make for the measures asked for, and how it is read afterwards."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from grads.config.features import Features
from grads.models.causal import unwrap
from grads.models.moments import Moments
from grads.probing.gradients.adam import adam_direction
from grads.probing.gradients.gradient_statistics import joined, named
from grads.probing.gradients.linear import Recipe, Sides, Whole, parts
from grads.probing.gradients.projection import Dense, Kronecker, chosen_modules, make_projection
from grads.runtime.errors import GradsError
from grads.signals.names import FEATURES

MEASURES = frozenset({"adapter", "weights", "sgd_features", "adam_features"})
A = ".lora_A"
B = ".lora_B"
W = ".weight"


@dataclass(frozen=True)
class Layer:
    """A linear layer: its weights (outputs x inputs) and its adapter's A, B and scale, if it has one."""

    matrix: Tensor
    adapter: tuple[Tensor, Tensor, float] | None


class Taps:
    """The recipes of a model's layers, and the reading of what they made.

    Args:
        model: a causal language model, with or without a LoRA adapter.
        measures: of `grads.signals.columns`; names that taps do not measure are ignored.
        features: how gradients are projected: the adapter's, or those of the linear layers' weights if there is none.
        moments: of the preliminary epoch's optimiser, for `adam_features`.

    Raises:
        GradsError: a measure needs an adapter, moments or layers that are not there.
    """

    def __init__(
        self, model: nn.Module, measures: Collection[str], features: Features, moments: Moments | None = None
    ) -> None:
        self.measures = MEASURES & set(measures)
        self.features = features
        self.moments = _on_device(moments, model)
        self.projection = make_projection(features)
        self.absolute = "mean_abs" in measures
        self.recipes: dict[str, Recipe] = {}
        # Entries of the adapter's gradients, and how many numbers of a record a dense projection multiplies.
        self.entries = self.dense_entries = 0
        if not self.measures:
            # Nothing is asked of the layers, but an adapter's path costs a third less without PEFT's own modules.
            self.recipes = {name: Recipe() for name, layer in _adapted(model).items() if _known(name, layer)}
            return
        layers = _layers(model, self.measures)
        self._check(layers)
        chosen = chosen_modules(list(layers), features.modules) if FEATURES & self.measures else []
        for name, layer in layers.items():
            recipe = self._recipe(name, layer, name in chosen)
            if recipe.widths or layer.adapter is not None:
                self.recipes[name] = recipe
        self.entries = sum(_entries(layer) for layer in layers.values())
        if isinstance(self.projection, Dense):
            self.dense_entries = len(FEATURES & self.measures) * sum(_entries(layers[name]) for name in chosen)

    def _check(self, layers: Mapping[str, Layer]) -> None:
        adapted = any(layer.adapter for layer in layers.values())
        if not adapted and self.measures & {"adapter", "adam_features"}:
            raise GradsError("the model has no LoRA adapter whose gradients could be taken: set training.weights: lora")
        if not adapted and "sgd_features" in self.measures and isinstance(self.projection, Dense):
            raise GradsError(
                "probe.features.projection is dense, which is for an adapter's gradients: take kronecker where all "
                "weights are trained"
            )
        if "adam_features" in self.measures and self.moments is None:
            raise GradsError(
                "adam_features need the moments of the preliminary epoch: measure them at the point 'warm'"
            )
        if "adam_features" in self.measures and self.moments is not None:
            for name in layers:
                if not {name + A, name + B} <= self.moments.average.keys() & self.moments.average_squared.keys():
                    raise GradsError(
                        f"the moments of the preliminary epoch are not of {name}: probe the adapter of the same run"
                    )

    def _recipe(self, name: str, layer: Layer, chosen: bool) -> Recipe:
        factors: tuple[Sides, ...] = ()
        whole: tuple[Whole, ...] = ()
        if chosen and "sgd_features" in self.measures:
            if isinstance(self.projection, Kronecker):
                factors = self._factors(name, layer)
            else:
                whole = (Whole(lambda a, b: self._projected(name, a, b), self.projection.dimension),)
        if chosen and "adam_features" in self.measures:
            whole = (*whole, Whole(lambda a, b: self._directed(name, a, b), self._width(layer)))
        statistics = "adapter" in self.measures and layer.adapter is not None
        return Recipe(statistics, self.absolute, "weights" in self.measures, factors, whole)

    def _factors(self, name: str, layer: Layer) -> tuple[Sides, ...]:
        assert isinstance(self.projection, Kronecker)
        place = layer.matrix.device
        kind = layer.matrix.dtype
        shapes: dict[str, tuple[int, ...]] = {name + W: layer.matrix.shape}
        if layer.adapter is not None:
            shapes = {name + A: layer.adapter[0].shape, name + B: layer.adapter[1].shape}
        sides = (self.projection.sides(key, rows, wide, place) for key, (rows, wide) in shapes.items())
        return tuple((left.to(kind), right.to(kind)) for left, right in sides)

    def _width(self, layer: Layer) -> int:
        if isinstance(self.projection, Dense):
            return self.projection.dimension
        assert layer.adapter is not None
        low, high, _ = layer.adapter
        return sum(self.projection.dimensions([(part.shape[0], part.shape[1])]) for part in (low, high))

    def _projected(self, name: str, of_a: Tensor, of_b: Tensor) -> Tensor:
        if isinstance(self.projection, Dense):
            return self.projection.project(name + A, of_a.flatten(1)) + self.projection.project(
                name + B, of_b.flatten(1)
            )
        both = (self.projection.project(name + A, of_a), self.projection.project(name + B, of_b))
        return torch.cat(both, dim=1)

    def _directed(self, name: str, of_a: Tensor, of_b: Tensor) -> Tensor:
        assert self.moments is not None
        directions = []
        for key, gradient in ((name + A, of_a), (name + B, of_b)):
            moments = self.moments.average[key], self.moments.average_squared[key]
            directions.append(adam_direction(gradient, *moments, self.moments.betas, self.moments.epsilon))
        return self._projected(name, *directions)

    def read(self, found: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return columns (each N) and vectors (each N x d), as numpy arrays.

        Args:
            found: what each layer's tap received, N x its widths, by name.
        """
        parts_of = {name: list(made.split(self.recipes[name].widths, dim=1)) for name, made in found.items()}
        columns: dict[str, Any] = {}
        if "adapter" in self.measures:
            moments = torch.stack([made.pop(0) for name, made in parts_of.items() if self.recipes[name].statistics])
            whole = joined(moments.double()).cpu().numpy()
            columns |= {f"adapter_{key}": value for key, value in named(whole, self.entries).items()}
        vectors = self._vectors(parts_of)
        if "weights" in self.measures:
            squared = torch.stack([made.pop(0) for made in parts_of.values()]).double().sum(dim=0)
            columns["weights_l2"] = squared.sqrt().flatten().cpu().numpy()
        if "sgd_features" in self.measures and "sgd_features" not in vectors:
            vectors["sgd_features"] = self._joined(parts_of)
        return columns, {name: self._scaled(vector).cpu().numpy() for name, vector in vectors.items()}

    def _vectors(self, parts_of: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
        """Take what was made of whole gradients off the parts, and return it joined."""
        vectors = {}
        if "sgd_features" in self.measures and isinstance(self.projection, Dense):
            vectors["sgd_features"] = self._joined(
                {n: [p.pop(0)] for n, p in parts_of.items() if self.recipes[n].whole}
            )
        if "adam_features" in self.measures:
            vectors["adam_features"] = self._joined(
                {n: [p.pop(0)] for n, p in parts_of.items() if self.recipes[n].whole}
            )
        return vectors

    def _joined(self, parts_of: Mapping[str, list[Tensor]]) -> Tensor:
        pieces = {f"{name}{index}": piece for name, made in parts_of.items() for index, piece in enumerate(made)}
        if isinstance(self.projection, Kronecker) and self.projection.pooled:
            size = self.projection.size**2
            pieces = {f"{k}.{i}": part for k, p in pieces.items() for i, part in enumerate(p.split(size, dim=1))}
        return self.projection.join(pieces)

    def _scaled(self, vectors: Tensor) -> Tensor:
        return torch.nn.functional.normalize(vectors, dim=1) if self.features.unit else vectors


def _on_device(moments: Moments | None, model: nn.Module) -> Moments | None:
    """Return the moments where the model is, once: each batch of each layer reads them."""
    if moments is None:
        return None
    place = next(model.parameters()).device
    both = ({name: part.to(place) for name, part in m.items()} for m in (moments.average, moments.average_squared))
    average, squared = both
    return replace(moments, average=average, average_squared=squared)


def _entries(layer: Layer) -> int:
    return sum(part.numel() for part in (layer.adapter or ())[:2] if isinstance(part, Tensor))


def _layers(model: nn.Module, measures: Collection[str]) -> dict[str, Layer]:
    """Return the model's linear layers by name: those with an adapter, or all but the LM head.

    Raises:
        GradsError: one of them is of a kind that is not known, or weights of the decoder are in no linear layer.
    """
    from transformers.pytorch_utils import Conv1D

    adapted = _adapted(model)
    if adapted and "weights" not in measures:
        # A layer that has only adapters that are not active is as good as one that has none.
        active = {name: Layer(matrix, adapter) for name, (matrix, _, adapter) in _parts(adapted).items() if adapter}
        if not active:
            raise GradsError("no adapter of the model is active: call its set_adapter")
        return active
    _refuse_other_adapters(model)
    core: Any = unwrap(model)
    plain = {
        name: layer
        for name, layer in core.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not core.get_output_embeddings()
    }
    if adapted:
        raise GradsError(
            "weights_l2 is of all weights: it is measured where there is no adapter (training.weights: full)"
        )
    _refuse_other_weights(core, plain)
    if len({id(layer.weight) for layer in plain.values()}) < len(plain):
        raise GradsError("linear layers of the model share their weights: choose signals of embedding and head")
    return {name: Layer(matrix, None) for name, (matrix, _, _) in _parts(plain).items()}


def _adapted(model: nn.Module) -> dict[str, Any]:
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def _known(name: str, layer: nn.Module) -> bool:
    try:
        parts(name, layer)
    except GradsError:
        return False
    return True


def _parts(layers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: parts(name, layer) for name, layer in layers.items()}


def _refuse_other_adapters(model: nn.Module) -> None:
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in model.named_modules():
        if isinstance(layer, BaseTunerLayer) and not isinstance(layer, LoraLayer):
            raise GradsError(
                f"the adapter at {name} is a {type(layer).__name__}, the probe knows LoRA only: train that"
            )


def _refuse_other_weights(core: Any, layers: Mapping[str, nn.Module]) -> None:
    """Refuse a decoder with matrices outside its linear layers, such as experts that are held as one."""
    known = {id(parameter) for layer in layers.values() for parameter in layer.parameters()}
    known |= {
        id(parameter)
        for module in core.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters()
    }
    known |= {id(parameter) for parameter in core.get_output_embeddings().parameters()}
    for name, parameter in core.named_parameters():
        if parameter.dim() > 1 and id(parameter) not in known:
            raise GradsError(
                f"{name} ({' x '.join(map(str, parameter.shape))}) is in no linear layer, so the probe cannot take its "
                "gradients record by record: choose signals of embedding and head, or an adapter on other layers"
            )
