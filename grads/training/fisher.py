"""The diagonal of the Fisher information of a model's answers, for penalties on weights that these hang on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from grads.config.section import Precision
from grads.data.records.formatting import Example
from grads.models.causal import predicted_logits, unwrap


def fisher_diagonal(
    model: nn.Module, weights: Mapping[str, nn.Parameter], examples: Sequence[Example], precision: Precision
) -> dict[str, Tensor]:
    """Return the mean over examples of the squared gradient of the answer's log-likelihood.

    Args:
        model: in evaluation mode; which of its weights are trained does not matter, and is as before afterwards.
        weights: by name, those that are asked for; a weight that the answers do not hang on has 0.
        examples: of each the response tokens are the answer.
        precision: of the products; squares and their mean are in float32.

    Returns:
        For each weight a tensor of its shape, float32, on its device.
    """
    found = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    trained = [weight.requires_grad for weight in weights.values()]
    place = unwrap(model).get_input_embeddings().weight.device
    try:
        for weight in weights.values():
            weight.requires_grad_(True)
        for example in examples:
            with torch.enable_grad():
                loss = _loss(model, example, place, precision)
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            for total, gradient in zip(found.values(), gradients, strict=True):
                if gradient is not None:
                    total.addcmul_(gradient.float(), gradient.float(), value=1 / len(examples))
    finally:
        for weight, before in zip(weights.values(), trained, strict=True):
            weight.requires_grad_(before)
    return found


def _loss(model: nn.Module, example: Example, place: torch.device, precision: Precision) -> Tensor:
    """Return minus the log-likelihood of an example's response tokens, but for a first one that nothing precedes."""
    positions = torch.tensor([position - 1 for position in example.response_positions if position > 0], device=place)
    ids = torch.tensor([example.input_ids], device=place)
    logits = predicted_logits(model, ids, torch.zeros_like(positions), positions, precision)
    return functional.cross_entropy(logits, ids[0, positions + 1], reduction="sum")
