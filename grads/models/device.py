"""The one place that chooses the device and its number type."""

from typing import Literal

import torch

DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


def device() -> torch.device:
    """Return the device of this process: the CUDA device that its slot left visible, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype(precision: Literal["bf16", "float32"]) -> torch.dtype:
    """Return the torch type of a precision named in the config."""
    return DTYPES[precision]
