"""The base model during a run, for losses that hold the trained one near to it, and such a loss bound to its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grads.config.section import Precision
from grads.data.records.formatting import Example
from grads.models.causal import predicted_logits, unwrap
from grads.models.load import load_model
from grads.runtime.errors import GradsError
from grads.training.fisher import fisher_diagonal
from grads.training.strategies.contract import Batch, Change, Needs, Parameters, Strategy

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer


@dataclass(frozen=True)
class WeightChange:
    """Of a weight that is trained itself.

    Args:
        weight: as it is now.
        base: the base model's.
    """

    weight: Tensor
    base: Tensor

    def dense(self) -> Tensor:
        """Return the difference."""
        return self.weight - self.base

    def squared_norm(self) -> Tensor:
        """Return the sum of its squares."""
        return self.dense().square().sum()


@dataclass(frozen=True)
class AdapterChange:
    """Of a weight that an adapter is added to.

    Args:
        layer: with the adapter.
        name: the adapter's.
    """

    layer: LoraLayer
    name: str

    def dense(self) -> Tensor:
        """Return s B A in the shape of the layer's weight."""
        # Each kind of layer has it, their common class does not.
        layer: Any = self.layer
        delta: Tensor = layer.get_delta_weight(self.name)
        return delta

    def squared_norm(self) -> Tensor:
        """Return ||s B A||^2 = s^2 sum(B^T B * A A^T)."""
        down, up = self._factors()
        return self.layer.scaling[self.name] ** 2 * ((up.T @ up) * (down @ down.T)).sum()

    def _factors(self) -> tuple[Tensor, Tensor]:
        """Return A, rank x inputs, and B, outputs x rank."""
        if self.name in self.layer.lora_embedding_A:
            return self.layer.lora_embedding_A[self.name], self.layer.lora_embedding_B[self.name]
        down: Any = self.layer.lora_A[self.name]
        up: Any = self.layer.lora_B[self.name]
        return down.weight, up.weight


class BaseModel:
    """The `Reference` of a run.

    Args:
        model: that is trained: a PEFT model, or one of which all weights are.
        needs: what the strategy reads of the base model.
        folder: the prepared model.
        precision: of training.
        general: examples that the Fisher information is estimated from, if it is needed.
    """

    def __init__(
        self, model: Any, needs: Needs, folder: Path, precision: Precision, general: Sequence[Example] = ()
    ) -> None:
        self.model = model
        self.needs = needs
        self.precision = precision
        # Looked for once: in a small model a walk through all modules takes as long as a forward pass.
        self.modules: list[nn.Module] = list(model.modules())
        self.adapters = dict(_adapters(model))
        self.copy: nn.Module | None = None
        if not self.adapters and (needs.base_logits or needs.base_weights):
            # In float32 like the trained weights: so both compute alike, and are equal before the first step.
            self.copy = load_model(folder, "float32").requires_grad_(False)
        self.fisher_tokens = sum(len(example.input_ids) for example in general) if needs.fisher else 0
        self._fisher = self._estimated(general) if needs.fisher else {}

    def logits(self, batch: Batch) -> Tensor:
        """Return the base model's logits; see `Reference`."""
        _refuse_undeclared(self.needs.base_logits, "logits", "base_logits")
        with torch.no_grad(), self._base() as base:
            return predicted_logits(base, batch.input_ids, batch.records, batch.positions, self.precision)

    def changes(self) -> Mapping[str, Change]:
        """Return what training has made of each weight; see `Reference`."""
        _refuse_undeclared(self.needs.base_weights, "weights", "base_weights")
        if self.copy is None:
            name = self.model.active_adapter
            return {f"{layer}.weight": AdapterChange(adapted, name) for layer, adapted in self.adapters.items()}
        base = dict(self.copy.named_parameters())
        return {name: WeightChange(weight, base[name]) for name, weight in self.model.named_parameters()}

    def fisher(self) -> Mapping[str, Tensor]:
        """Return the diagonal of the base model's Fisher information; see `Reference`."""
        _refuse_undeclared(self.needs.fisher, "Fisher information", "fisher")
        return self._fisher

    def _estimated(self, general: Sequence[Example]) -> Mapping[str, Tensor]:
        """Return the Fisher information of the weights that `changes` names, in evaluation mode and without adapter."""
        if self.copy is not None:
            weights = dict(self.copy.named_parameters())
        else:
            weights = {f"{name}.weight": _own_weight(layer) for name, layer in self.adapters.items()}
        with self._base() as base:
            return fisher_diagonal(base, weights, general, self.precision)

    @contextmanager
    def _base(self) -> Iterator[nn.Module]:
        """Give the base model in evaluation mode; the trained one is as it was afterwards."""
        if self.copy is not None:
            yield self.copy
            return
        training = [module.training for module in self.modules]
        for module in self.modules:
            module.training = False
        self._switch(off=True)
        try:
            yield self.model
        finally:
            self._switch(off=False)
            for module, mode in zip(self.modules, training, strict=True):
                module.training = mode

    def _switch(self, off: bool) -> None:
        """Do what PEFT's `disable_adapter` does, but for the parameters' `requires_grad`, which costs much time."""
        for adapted in self.adapters.values():
            adapted._disable_adapters = off


def _own_weight(layer: LoraLayer) -> nn.Parameter:
    """Return the weight that an adapter is added to."""
    weight = layer.get_base_layer().weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _refuse_undeclared(declared: bool, what: str, key: str) -> None:
    if not declared:
        raise GradsError(
            f"the loss asks for the base model's {what} and its strategy's needs do not say so: add {key}=True to them"
        )


def _adapters(model: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """Give the layers that an adapter is added to, by their names in the base model."""
    from peft.tuners.lora import LoraLayer

    for name, layer in unwrap(model).named_modules():
        if isinstance(layer, LoraLayer):
            yield name, layer


@dataclass(frozen=True)
class OwnLoss:
    """The loss that a strategy has of its own, in one run.

    Args:
        strategy: one that has such a loss.
        parameters: its own.
        base: the base model, for what the strategy needs of it.
    """

    strategy: Strategy
    parameters: Parameters
    base: BaseModel

    @property
    def base_passes(self) -> int:
        """Forward passes of the base model over each token."""
        return int(self.base.needs.base_logits)

    @property
    def fisher_tokens(self) -> int:
        """Tokens that the base model's Fisher information was estimated from, with gradients of its own weights."""
        return self.base.fisher_tokens

    def __call__(self, batch: Batch) -> Tensor:
        """Return the loss of each prediction.

        Raises:
            GradsError: the strategy returns something else.
        """
        assert self.strategy.loss is not None
        losses = self.strategy.loss(batch, self.base, self.parameters)
        if losses.shape != batch.labels.shape:
            raise GradsError(
                f"the loss of strategy '{self.strategy.name}' has the shape {tuple(losses.shape)} for "
                f"{len(batch.labels)} predictions: return one number for each, and no mean of them"
            )
        return losses
