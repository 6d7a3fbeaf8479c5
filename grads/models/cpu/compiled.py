"""Compiled decoder layers: what fuses the element-wise work that most of a pass's time on a CPU goes into.

All layers of a decoder run the same code on other weights, so one layer is compiled, for any number of records and
tokens, and used for all: seconds instead of the minutes that the whole model would take. The compiler keeps what it
made in a cache on disk (TORCHINDUCTOR_CACHE_DIR), from which the next process takes it.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from grads.models.causal import decoder_layers, unwrap
from grads.runtime.progress import say

# Multiply-adds of a pass from which compiling pays, by kind of device: some minutes of two CPU cores, or of one GPU.
# It is counted and not timed, so that the same job always computes with the same code.
WORTH = {"cpu": 1e14, "cuda": 1e17}
RECOMPILATIONS = 64


def worth_compiling(model: nn.Module, tokens: int, choice: Literal["auto", "always", "never"] = "auto") -> bool:
    """Return whether a pass over so many tokens should be compiled: by its size, unless the choice is made.

    Where torch lacks what it compiles with, it is not, and a line says so.
    """
    core: Any = unwrap(model)
    work = 2 * tokens * sum(parameter.numel() for parameter in core.parameters())
    kind = core.device.type
    if choice == "never" or (choice == "auto" and work < WORTH.get(kind, float("inf"))):
        return False
    if missing := _missing(kind):
        say(f"there is no {missing}, so the probe runs uncompiled: install it for a pass that takes less time")
        return False
    return True


def _missing(kind: str) -> str | None:
    """Return what torch's compiler needs for a kind of device and does not find, if anything."""
    if kind == "cpu":
        # The names that torch itself tries.
        compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        return None if shutil.which(compiler) else f"C++ compiler {compiler}"
    if not torch.utils._triton.has_triton():
        return "Triton for this device"
    compilers = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
    return None if any(map(shutil.which, compilers)) else f"C compiler {' or '.join(compilers)}"


@contextmanager
def compiled_layers(model: nn.Module) -> Iterator[None]:
    """Run the decoder's layers compiled; afterwards they are as they were."""
    try:
        compile_layers(model)
        yield
    finally:
        for layer in decoder_layers(model):
            layer._compiled_call_impl = None


def compile_layers(model: nn.Module) -> None:
    """Compile the decoder's layers where they are, each as a region of its own, for shapes of any size."""
    # A layer is compiled once for all of its like. There may be several kinds of layers, each for a batch of one and
    # of more, for short records and for long ones; beyond the limit they would run uncompiled.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILATIONS)
    for layer in decoder_layers(model):
        layer.compile(dynamic=True)
