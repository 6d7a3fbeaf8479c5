"""Watches the matrix products that torch makes, for those that kill a process on a processor with AMX.

`grads.models.cpu.products` tells which they are. Nothing here is taken from there: the bounds are oneDNN's own.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# oneDNN's `maybe_small_dims_heuristics` is for at most so many rows; a result that is laid out by columns is made
# transposed, with columns for rows.
FEW = 32
# It divides by three quarters of the bytes of a second-level cache less the entries of the factor with few rows. No
# processor with AMX has a cache below 2 MiB, a virtual machine may report less: so many bytes at least.
CACHE = 2**18
HALF = (torch.bfloat16, torch.float16)
aten = torch.ops.aten
# Products, and where their factors stand among the arguments.
PLAIN = (aten.mm, aten.bmm, aten.mv, aten.dot, aten.vdot)
ADDED = (aten.addmm, aten.baddbmm, aten.addbmm, aten.addmv, aten.addmm_, aten.baddbmm_, aten.addbmm_, aten.addmv_)
FACTORS = dict.fromkeys(PLAIN, slice(0, 2)) | dict.fromkeys((*ADDED, aten._addmm_activation), slice(1, 3))
# Parts of the names of products that are not known here: a test that meets one has to be taught it.
PRODUCTS = ("mm", "matmul", "linear", "conv", "einsum", "mkldnn")
# Rounding, and attention over no more than some thousand tokens.
OTHERS = ("_scaled_dot_product", "_conj", "_convert")


def is_fatal(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Return whether a product of bf16 factors of these shapes may be one that oneDNN divides by zero for.

    However the factors are laid out: they have to be of few rows or columns over a long inner dimension.
    """
    rows, columns = (left[-2] if len(left) > 1 else 1), (right[-1] if len(right) > 1 else 1)
    few, inner = min(rows, columns), left[-1]
    return math.prod(left[:-2]) == 1 and few <= FEW and few * inner >= 3 * CACHE // 4


class Products(TorchDispatchMode):
    """Sees all products made in its block, those of backward passes too.

    Compiled code is not run in it: torch then runs what it was made from.

    Attributes:
        longest: largest size of any dimension of a product in half precision.
        fatal: what was made that `is_fatal` tells of, as text.
    """

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0
        self.fatal: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        if packet not in FACTORS:
            # Such as `linear`, which is seen whole where no gradient can be asked for.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            name = packet.__name__
            unknown = any(part in name for part in PRODUCTS) and not any(part in name for part in OTHERS)
            assert not unknown, f"is {func} a matrix product?"
            return func(*args, **kwargs)
        self.note(str(func), *args[FACTORS[packet]])
        return func(*args, **kwargs)

    def note(self, name: str, left: Tensor, right: Tensor) -> None:
        """Take note of a product."""
        if left.dtype not in HALF or left.device.type != "cpu":
            return
        self.longest = max(self.longest, *left.shape, *right.shape)
        if is_fatal(tuple(left.shape), tuple(right.shape)):
            self.fatal.append(f"{name} of {tuple(left.shape)} and {tuple(right.shape)}")
