"""What a pass takes for granted of a model, checked before any work; a model that does more is refused by name.

Each check stands for something that would make numbers wrong without an error: gradients of single records are taken at
the input embedding, at the inputs of the LM head and at linear layers that each see every token of every record once.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grads.models.causal import compare_logits, hidden_states, unwrap
from grads.probing.gradients.head import Head
from grads.runtime.errors import GradsError

# float16 overflows where losses are large, and its smallest gradients are 0.
TYPES = (torch.float32, torch.bfloat16)
# Tokens of the one record that a model is tried with.
TRIED = 16


def embedding_scale(embedding: Any) -> float:
    """Return the factor by which some models (Gemma) multiply what they look up."""
    scale = getattr(embedding, "embed_scale", 1.0)
    return float(scale.to(embedding.weight.dtype)) if isinstance(scale, Tensor) else float(scale)


def check_ends(model: nn.Module, padding: int) -> None:
    """Check the input embedding and the LM head by their kind, which needs no pass.

    Raises:
        GradsError: they have an adapter, are in another type than float32 or bfloat16, or have no row for the padding.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    core: Any = unwrap(model)
    ends = {"input embeddings": core.get_input_embeddings(), "LM head": core.get_output_embeddings()}
    for name, layer in ends.items():
        if isinstance(layer, BaseTunerLayer | AuxiliaryTrainingWrapper):
            raise GradsError(
                f"there is an adapter on the {name}, of whose own weights the probe takes the gradient: choose other "
                "training.adapter.targets"
            )
        if layer is None or layer.weight.dtype not in TYPES:
            kind = "missing" if layer is None else f"{layer.weight.dtype}".removeprefix("torch.")
            raise GradsError(
                f"the {name} of {type(core).__name__} are {kind}: load the model with probe.precision float32 or bf16"
            )
    rows = len(ends["input embeddings"].weight)
    if not 0 <= padding < rows:
        raise GradsError(f"the padding token {padding} is not among the {rows} of the model: pad with any other token")


@torch.no_grad()
def check_model(model: nn.Module, head: Head, names: Collection[str], token_ids: list[int]) -> None:
    """Compare lookup and logits as they are known here with the model's own, and watch the layers that get a tap.

    Args:
        model: in evaluation mode, without taps.
        head: its LM head.
        names: of the linear layers whose gradients are taken.
        token_ids: of one record; its first `TRIED` tokens are tried.

    Raises:
        GradsError: they differ; or one of the layers is used not once, or not on every token of a record.
    """
    core: Any = unwrap(model)
    embedding = core.get_input_embeddings()
    ids = torch.tensor([token_ids[:TRIED]], device=embedding.weight.device)
    expected = embedding.weight[ids] * embedding_scale(embedding)
    # What is no number in both is for the signals to tell, which name the record.
    if not torch.allclose(embedding(ids), expected, rtol=1e-2, equal_nan=True):
        raise GradsError(
            f"the probe knows input embeddings that look up a row and scale it; that of {type(core).__name__} does "
            "more: choose another model"
        )
    with _watched(model, names, tuple(ids.shape)):
        expected = core(input_ids=ids, use_cache=False).logits.float()
    found = head.logits(hidden_states(model, input_ids=ids, use_cache=False)).float()
    compare_logits(core, found, expected)


@contextmanager
def _watched(model: nn.Module, names: Collection[str], shape: tuple[int, ...]) -> Iterator[None]:
    """Refuse a layer that is not used exactly once, on records x tokens of the given shape, in the pass inside."""
    calls = dict.fromkeys(names, 0)

    def watch(name: str) -> Any:
        def count(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            calls[name] += 1
            if tuple(inputs[0].shape[:-1]) != shape:
                raise GradsError(
                    f"{name} does not see records one by one (its input is {tuple(inputs[0].shape)}, not records x "
                    "tokens x width): choose other layers, or signals that do not need this one"
                )

        return count

    hooks = [model.get_submodule(name).register_forward_pre_hook(watch(name)) for name in names]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    for name, times in calls.items():
        if times != 1:
            raise GradsError(
                f"{name} is used {times} times in one pass, so its gradients do not come in one piece: choose other "
                "layers, or signals that do not need this one"
            )
