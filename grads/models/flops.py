"""What passes over data cost in floating-point operations: counted by a rule, not measured.

A parameter and a token take 2 operations forward, a multiplication and an addition; backward 2 for the gradients of
activations, whatever is trained, and 2 more for its own gradient, where it is trained (Kaplan et al. 2020, section 2.1,
for whom all are: 6). Attention's products of queries and keys, the optimiser, projections and closed forms of norms are
left out, and so is the second forward pass, over answers alone, that measures `unconditional`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from grads.models.headers import stored_tensors

if TYPE_CHECKING:
    from torch import nn

FORWARD = 2
ACTIVATIONS = 2
WEIGHTS = 2


def training_flops(model: nn.Module, tokens: int, base_passes: int = 0, fisher_tokens: int = 0) -> float:
    """Return what training takes: about 4 operations a parameter and token with an adapter, 6 with all weights.

    Args:
        model: as it is trained; weights that two layers share count once.
        tokens: that the run visited, each as often as it did.
        base_passes: forward passes of the base model over each of them.
        fisher_tokens: that the base model was read and its own weights' gradients taken of, before the run.
    """
    sizes = {True: 0, False: 0}
    for parameter in model.parameters():
        sizes[parameter.requires_grad] += parameter.numel()
    # Next to an adapter the base model is what is frozen; else it has the sizes of what is trained.
    base = sizes[False] or sizes[True]
    before = step_flops(0, base, fisher_tokens)
    return step_flops(sizes[False], sizes[True], tokens) + float(base_passes * FORWARD * base * tokens) + before


def step_flops(frozen: int, trained: int, tokens: int) -> float:
    """Return what training takes by its weights: 4 operations a frozen one and token, 6 a trained one and token."""
    per_token = (FORWARD + ACTIVATIONS) * frozen + (FORWARD + ACTIVATIONS + WEIGHTS) * trained
    return float(per_token * tokens)


def probe_flops(parameters: int, gradient_passes: int, tokens: int) -> float:
    """Return what measuring takes: 2 operations a parameter and token without gradients, 4 a pass with them.

    Args:
        parameters: of the model or the encoder.
        gradient_passes: passes that took gradients; 0 stands for one forward pass.
        tokens: of one pass.
    """
    per_token = (FORWARD + ACTIVATIONS) * gradient_passes if gradient_passes else FORWARD
    return float(per_token * parameters * tokens)


def multiplied(model: Any) -> int:
    """Return how many weights a token is multiplied by: all but an input embedding that is not the LM head, too."""
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    total = sum(parameter.numel() for parameter in model.parameters())
    return total if embedding is head else total - embedding.numel()


def stored_parameters(folder: Path) -> int:
    """Return how many parameters a prepared model or encoder has, from the headers of its files alone."""
    return sum(tensor.entries for tensor in stored_tensors(folder).values())
