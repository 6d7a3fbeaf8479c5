"""Matrix products over a long inner dimension, made so that a CPU survives them.

torch 2.13.0 multiplies bf16 matrices on a CPU by oneDNN 3.12, which divides by zero on processors with AMX: the
process is gone by SIGFPE, without a message. It happens in `maybe_small_dims_heuristics`, which plans a single product
(no batch of several) of M x K by K x N where

    M <= 32    the right factor is transposed (its inner dimension is contiguous)    M K = 3/4 L2

as its divisor is 3/4 L2 - M K. L2 is a core's second-level cache in bytes, M K a number of entries. So with the 2 MiB
of Intel's processors with AMX M K = 1,572,864 is fatal: 32 x 49,152, 24 x 65,536, 12 x 131,072, 6 x 262,144. With one
thread N does not matter; with more it saves those products that leave a quarter of the threads without columns.
Virtual machines report caches of other sizes, and where none is reported oneDNN takes it for 512 KiB. (Lines 198 to 222
of https://github.com/uxlfoundation/oneDNN/blob/v3.12/src/cpu/x64/matmul/amx_blocking_heuristics.cpp; 3.11 to 3.13.1
have the same.)

Here no inner dimension is long where rows or columns are few, whatever layout and cache are. Long ones are those over
a vocabulary, of the LM head's errors, and those over the outputs or inputs of very wide linear layers. Left as they
are: a layer's own x W^T, which torch makes and which would need 49,152 inputs (24,576 with 1 MiB reported), and sums
over the tokens of a batch, whose right factor is not transposed.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

# Types that go to oneDNN's code for AMX.
HALF = (torch.bfloat16, torch.float16)
# Rows or columns up to which an inner dimension is kept short: twice what the failing code is for.
FEW = 64
# Longest inner dimension for those: 32 x 4,096 entries are fewer than 3/4 of the bytes of any L2 cache from 256 KiB on.
INNER = 4096


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right in float32: ... x M x K by ... x K x N, of one type.

    On a CPU few rows or columns of bf16 are multiplied a slice of the inner dimension at a time, in bf16 too: a right
    factor of many columns takes longer to convert than to multiply. Slices are added up in float32, so that each is
    rounded once, as the whole would be.
    """
    if not _is_long(left, right):
        return (left @ right).float()
    return _added(zip(left.split(INNER, dim=-1), right.split(INNER, dim=-2), strict=True))


def gram(rows: Tensor) -> Tensor:
    """Return the inner products of rows with each other in float32, ... x M x M of ... x M x K.

    On a CPU few rows of bf16 are multiplied in float32, which is quick where both factors have few rows, and exact.
    Converted are so many of their entries at a time as a cache holds.
    """
    if not _is_long(rows, rows.mT):
        return (rows @ rows.mT).float()
    slices = (part.float() for part in rows.split(INNER, dim=-1))
    return _added((part, part.mT) for part in slices)


def head_output(layer: nn.Module, rows: Tensor) -> Tensor:
    """Return what an LM head makes of rows, ... x width, such that its backward pass can be made on a CPU.

    The backward pass multiplies the gradients of the rows' logits by the head's weights, over the vocabulary. Where it
    will be in bf16, few rows are filled up with zeros, which changes nothing but the time: at most `FEW` rows more.
    """
    flat = rows.flatten(0, -2)
    missing = FEW + 1 - len(flat)
    half = rows.dtype in HALF or torch.is_autocast_enabled(rows.device.type)
    if missing <= 0 or rows.device.type != "cpu" or not half or not (rows.requires_grad and torch.is_grad_enabled()):
        return layer(rows)
    return layer(functional.pad(flat, (0, 0, 0, missing)))[: len(flat)].unflatten(0, rows.shape[:-1])


def _is_long(left: Tensor, right: Tensor) -> bool:
    """Return whether the inner dimension has to be cut; sizes that are not long are asked for nothing more."""
    if left.shape[-1] <= INNER or left.device.type != "cpu" or left.dtype not in HALF:
        return False
    return min(left.shape[-2], right.shape[-1]) <= FEW


def _added(factors: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the sum of some products, in float32."""
    products = ((left @ right).float() for left, right in factors)
    total = next(products)
    for part in products:
        total += part
    return total
