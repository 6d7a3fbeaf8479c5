"""Compiled decoder layers: what fuses the element-wise work that most of a pass's time on a CPU goes into.

All layers of a decoder run the same code on other weights, so one layer is compiled, for any number of records and
tokens, and used for all: seconds instead of the minutes that the whole model would take. The compiler keeps what it
made in a cache on disk (TORCHINDUCTOR_CACHE_DIR), from which the next process takes it.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import nn

from grads.models.causal import decoder_layers, unwrap
from grads.runtime.progress import say

# Multiply-adds of a pass from which compiling pays, by kind of device: some minutes of two CPU cores, or of one GPU.
# It is counted and not timed, so that the same job always computes with the same code.
WORTH = {"cpu": 1e14, "cuda": 1e17}


def worth_compiling(model: nn.Module, tokens: int, choice: Literal["auto", "always", "never"] = "auto") -> bool:
    """Return whether a pass over so many tokens should be compiled: by its size, unless the choice is made.

    Where there is no C++ compiler, which torch needs on a CPU, it is not, and a line says so.
    """
    core: Any = unwrap(model)
    work = 2 * tokens * sum(parameter.numel() for parameter in core.parameters())
    kind = core.device.type
    if choice == "never" or (choice == "auto" and work < WORTH.get(kind, float("inf"))):
        return False
    if kind == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        say("there is no C++ compiler on PATH, so the probe runs uncompiled: install g++ for about a third less time")
        return False
    return True


@contextmanager
def compiled_layers(model: nn.Module) -> Iterator[None]:
    """Run the decoder's layers compiled; afterwards they are as they were."""
    layers = decoder_layers(model)
    for layer in layers:
        layer.compile(dynamic=True)
    try:
        yield
    finally:
        for layer in layers:
            layer._compiled_call_impl = None
