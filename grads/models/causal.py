"""A causal language model taken apart: decoder, LM head, and logits where they are needed only."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grads.config.section import Precision
from grads.data.records.formatting import Example
from grads.models.cpu.products import head_output
from grads.models.device import chosen_precision, dtype
from grads.runtime.errors import GradsError


def unwrap(model: Any) -> Any:
    """Return the transformers model inside a PEFT model, or the model itself; adapters in its layers stay active."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def decoder(model: nn.Module) -> Any:
    """Return what is below the LM head."""
    core = unwrap(model)
    return core.model if hasattr(core, "model") else core.base_model


def hidden_states(model: nn.Module, **inputs: Any) -> Tensor:
    """Return the decoder's last hidden states, batch x tokens x width, the very input of the LM head."""
    found: Tensor = decoder(model)(**inputs)[0]
    return found


def head_logits(model: nn.Module, hidden: Tensor) -> Tensor:
    """Return float32 logits of hidden states (... x width), with the soft-capping that some models apply."""
    core = unwrap(model)
    logits = head_output(core.get_output_embeddings(), hidden).float()
    cap = soft_cap(core)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def predicted_logits(
    model: nn.Module, input_ids: Tensor, records: Tensor, positions: Tensor, precision: Precision
) -> Tensor:
    """Return float32 logits at some positions only, P x vocabulary.

    Args:
        model: causal language model.
        input_ids: records x tokens, padded on the right.
        records: P; rows of `input_ids`.
        positions: P; a position in each of these rows.
        precision: of the products; bf16 is by autocast.
    """
    with torch.autocast(input_ids.device.type, dtype(precision), enabled=chosen_precision(precision) != "float32"):
        hidden = hidden_states(model, input_ids=input_ids)
        return head_logits(model, hidden[records, positions])


def soft_cap(core: Any) -> float | None:
    """Return c where a model makes logits z to c tanh(z / c), None where it leaves them as they are."""
    return getattr(core.config.get_text_config(), "final_logit_softcapping", None)


@torch.no_grad()
def check_logits(model: nn.Module) -> None:
    """Compare logits as they are known here with the model's own, on a few tokens.

    Args:
        model: in evaluation mode.

    Raises:
        GradsError: they differ, so losses that are made of them would be wrong.
    """
    core: Any = unwrap(model)
    weight = core.get_input_embeddings().weight
    inputs = {"input_ids": torch.arange(min(8, len(weight)), device=weight.device).unsqueeze(0), "use_cache": False}
    compare_logits(core, head_logits(model, hidden_states(model, **inputs)), core(**inputs).logits.float())


def compare_logits(core: Any, found: Tensor, own: Tensor) -> None:
    """Refuse a model whose own logits are others than what was found for the same tokens.

    What is no number in both is for those to tell who read the losses: they name the record.

    Raises:
        GradsError: they differ by more than rounding in bf16 makes.
    """
    largest = float(own.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).abs().max())
    if not torch.allclose(found, own, rtol=1e-2, atol=1e-2 * largest, equal_nan=True):
        raise GradsError(
            f"the logits of {type(core).__name__} are not its LM head's output, with or without soft-capping, so its "
            "losses would be wrong: choose another model"
        )


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """Return the decoder's layers, in their order.

    Raises:
        GradsError: the model has no one list of them.
    """
    core = unwrap(model)
    count = core.config.get_text_config().num_hidden_layers
    found = [part for part in core.modules() if isinstance(part, nn.ModuleList) and len(part) == count]
    if not found:
        raise GradsError(f"{type(core).__name__} has no list of {count} decoder layers: choose another model")
    return found[0]


def context_length(config: Any) -> int | None:
    """Return how many tokens a model's positions are made for, None where its config names no limit."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def check_context(examples: Iterable[Example], config: Any) -> None:
    """Refuse examples of more tokens than a model's positions are made for.

    Raises:
        GradsError: there is one; it names the record.
    """
    longest = context_length(config)
    for example in examples:
        tokens = len(example.input_ids)
        if longest is not None and tokens > longest:
            raise GradsError(
                f"record {example.id} has {tokens} tokens and the model's context {longest}: set "
                f"training.max_length to at most {longest}"
            )


def pad_right(sequences: list[list[int]], padding: int) -> Tensor:
    """Return token ids padded on the right, batch x tokens; a causal model needs no mask for padding that follows."""
    longest = max(len(s) for s in sequences)
    return torch.tensor([[*s, *[padding] * (longest - len(s))] for s in sequences], dtype=torch.long)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode with no parameter asking for a gradient; restore both at the end."""
    training = {module: module.training for module in model.modules()}
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
        for parameter in asking:
            parameter.requires_grad_(True)
