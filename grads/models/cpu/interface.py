"""Our attention on a CPU behind transformers' interface: for batches, and for rows of branching sequences."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from grads.models.cpu.attention import causal_attention
from grads.models.cpu.branching import branching_attention

NAME = "grads_causal_cpu"
# Tokens of a record beyond which torch's own is the quicker one on some processors.
LONGEST = 1024


class UnbranchedError(ValueError):
    """A layer's attention is not plainly causal, so sequences cannot branch off shared beginnings in it."""


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention for transformers' interface: ours where it is plainly causal, else torch's.

    With `branches`, the nodes of a row (see `grads.models.cpu.branching`), the mask is not looked at: it cannot tell
    which sequences a node belongs to. No sequence may then be longer than a layer's window.

    Raises:
        UnbranchedError: there are branches and this layer's attention is another.
    """
    tokens = query.shape[2]
    plain = not options.get("dropout") and tokens == key.shape[2]
    plain &= options.get("is_causal") is not False and getattr(module, "is_causal", True)
    plain &= options.get("position_bias") is None and options.get("softcap") is None and options.get("s_aux") is None
    scale = options.get("scaling")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if torch.is_autocast_enabled("cpu"):
        # Rotary embeddings may have left queries and keys in float32; torch's own attention is cast by autocast.
        computed = torch.get_autocast_dtype("cpu")
        query, key, value = (tensor.to(computed) for tensor in (query, key, value))
    if (nodes := options.get("branches")) is not None:
        if not plain:
            raise UnbranchedError(f"{type(module).__name__} is not plainly causal")
        return branching_attention(query, key, value, nodes, scale).transpose(1, 2), None
    if not plain or attention_mask is not None or tokens > LONGEST:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return causal_attention(query, key, value, scale).transpose(1, 2), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def quick_attention(model: Any) -> Iterator[None]:
    """Let a transformers model on a CPU that uses torch's attention use ours; others stay as they are."""
    if getattr(model.config, "_attn_implementation", None) != "sdpa" or model.device.type != "cpu":
        yield
        return
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")
