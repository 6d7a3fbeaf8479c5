"""The one place that chooses the device and its number type."""

from typing import Literal

import torch

from grads.config.section import Precision
from grads.runtime.processor import computes_in_bf16

DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


def device() -> torch.device:
    """Return the device of this process: the CUDA device that its slot left visible, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def chosen_precision(precision: Precision) -> Literal["bf16", "float32"]:
    """Return the precision that is computed in: of `auto`, bf16 where the device of this process computes in it."""
    if precision != "auto":
        return precision
    native = torch.cuda.is_bf16_supported() if device().type == "cuda" else computes_in_bf16()
    return "bf16" if native else "float32"


def dtype(precision: Precision) -> torch.dtype:
    """Return the torch type of a precision named in the config."""
    return DTYPES[chosen_precision(precision)]
