"""What the probe is compared with in its own environment: plain training passes, and the batch-1 loop over an adapter.

A peer is made once (not timed) from its settings, and is then a function of the examples.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.protocol import Settings, Variant
from grads.config.training import Adapter
from grads.data.batches import token_budget_batches
from grads.data.records.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.causal import pad_right
from grads.models.cpu.compiled import compile_layers
from grads.models.load import load_model

Run = Callable[[Sequence[Example]], object]
PADDING = 0
IGNORED = -100


def plain(settings: Settings, compiled: bool) -> Run:
    """Forward and backward pass of all weights in bf16: what a training step costs without its optimiser."""
    model = load_model(settings.model, "bf16").train()
    if compiled:
        compile_layers(model)
    return lambda examples: _train(model, examples, settings.token_budget)


def adapter(settings: Settings, compiled: bool) -> Run:
    """Forward and backward pass of a LoRA adapter: float32 under bf16 autocast, on frozen bf16 weights, by PEFT."""
    model = _with_adapter(settings)
    return lambda examples: _train(model, examples, settings.token_budget)


def one_by_one(settings: Settings, compiled: bool, projected: bool) -> Run:
    """Return the loop of LESS (arXiv 2402.04333): an example at a time through PEFT, its adapter gradients kept flat.

    With `projected` they are projected to side x side numbers a module, the size of the probe's features, by matrices
    on one side of dA and dB: far cheaper than the dense projection that LESS has on a GPU. Without, they are only
    flattened.
    """
    model = _with_adapter(settings)
    project = Projection(model, settings.side) if projected else None

    def run(examples: Sequence[Example]) -> None:
        features = None if project is None else torch.empty(len(examples), project.width, dtype=torch.bfloat16)
        for row, example in enumerate(examples):
            _loss(model, [example]).backward()
            if project is None:
                torch.cat([part.grad.flatten() for part in _trained(model)])
            else:
                features[row] = project()  # type: ignore[index]
            model.zero_grad()

    return run


class Projection:
    """Projects the gradients of an adapter: dA R (rank x k) and L dB (k x rank) for each layer, k = side^2 / 2 rank."""

    def __init__(self, model: nn.Module, side: int, seed: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.pairs: list[tuple[nn.Parameter, Tensor, bool]] = []
        for part, first in _adapter_matrices(model):
            rank, wide = min(part.shape), max(part.shape)
            kept = max(1, side * side // (2 * rank))
            signs = torch.randint(0, 2, (wide, kept), generator=draw) * 2.0 - 1.0
            self.pairs.append((part, signs / kept**0.5, first))
        self.width = sum(min(part.shape) * signs.shape[1] for part, signs, _ in self.pairs)

    def __call__(self) -> Tensor:
        """Return the projected gradients of all layers, flat."""
        parts = []
        for part, signs, first in self.pairs:
            gradient = part.grad
            assert gradient is not None
            parts.append(((gradient if first else gradient.T) @ signs).flatten())
        return torch.cat(parts)


VARIANTS: dict[str, Variant] = {
    "plain": Variant("plain forward and backward of all weights", plain),
    "adapter": Variant("plain forward and backward of a PEFT adapter", adapter, compilable=False),
    "one-by-one": Variant("batch-1 loop over a PEFT adapter", partial(one_by_one, projected=False), compilable=False),
    "one-by-one-projected": Variant(
        "batch-1 loop over a PEFT adapter, projected", partial(one_by_one, projected=True), compilable=False
    ),
}


def _adapter_matrices(model: nn.Module) -> Iterator[tuple[nn.Parameter, bool]]:
    """Yield each matrix of the adapter, and whether it is an A (rank x inputs) and no B (outputs x rank)."""
    for name, part in model.named_parameters():
        if part.requires_grad:
            yield part, "lora_A" in name


def _with_adapter(settings: Settings) -> Any:
    model = fresh_adapter(load_model(settings.model, "bf16"), Adapter(), seed=0)
    return model.train()


def _trained(model: nn.Module) -> list[Any]:
    return [part for part in model.parameters() if part.requires_grad]


def _train(model: Any, examples: Sequence[Example], token_budget: int) -> None:
    for batch in token_budget_batches([len(example.input_ids) for example in examples], token_budget, tight=True):
        _loss(model, [examples[index] for index in batch]).backward()
        model.zero_grad()


def _loss(model: Any, examples: Sequence[Example]) -> Tensor:
    """Return the model's own loss on the responses.

    No attention mask is given: padding on the right needs none in a causal model, and without one it is faster.
    """
    ids = pad_right([example.input_ids for example in examples], PADDING)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        where = example.response_positions
        labels[row, where] = ids[row, where]
    mixed = len({part.dtype for part in model.parameters()}) > 1
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        return model(input_ids=ids, labels=labels, use_cache=False).loss
