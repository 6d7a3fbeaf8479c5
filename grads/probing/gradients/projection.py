"""Seeded random projections of per-record gradients that keep inner products in expectation.

Every projection is a matrix of independent random signs, scaled. The signs come from a counter-based generator that is
keyed by seed and name, so any part of any matrix can be made alone, and is the same on every machine, shard and device
and whatever else was made before. Names are those of the weights whose gradient is projected (a module's, or a module's
followed by `.lora_A` or `.lora_B`); different names have independent signs.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grads.config.features import Features
from grads.runtime.errors import GradsError

# The eight signs that each byte stands for, its lowest bit first: 1 is +1, 0 is -1.
SIGNS = ((torch.arange(256).unsqueeze(1) >> torch.arange(8)) & 1).float() * 2 - 1


def rademacher(
    seed: int, name: str, rows: int, columns: int, first: int = 0, device: torch.device | str = "cpu"
) -> Tensor:
    """Return independent random signs, rows x columns of +1 and -1 in float32.

    They are rows `first` to `first + rows` of an endless matrix that depends on seed, name and columns: row i is the
    bits, lowest first, of bytes i b to (i + 1) b - 1 of Philox-4x64-10, b = ceil(columns / 8), in little-endian order.
    Its key is the first 16 bytes of SHA-256(seed, unit separator, name) (J. Salmon et al., Parallel random numbers: as
    easy as 1, 2, 3, SC 2011). Bits are made on the CPU and become signs on the device.
    """
    key = hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:16]
    generator = np.random.Philox(key=int.from_bytes(key, "little"))
    width = -(-columns // 8)
    # A step of the counter makes four words of eight bytes.
    steps, over = divmod(first * width, 32)
    generator.advance(steps)
    end = over + rows * width
    raw = generator.random_raw(-(-end // 8)).astype("<u8", copy=False).view(np.uint8)
    packed = torch.from_numpy(raw[over:end]).to(device)
    signs = functional.embedding(packed.int(), SIGNS.to(device))
    return signs.view(rows, width * 8)[:, :columns]


class Kronecker:
    """Two-sided projection per module: P_out^T G P_in of a gradient G, outputs x inputs.

    It is vec(G) times the Kronecker product of P_out and P_in (LoGra, S. K. Choe et al., arXiv 2405.13954, section 3,
    with random initialisation; EleutherAI's bergson projects so too), whose cost is that of the sides: since
    G = sum_t d_t x_t^T over tokens, it is (d P_out)^T (x P_in), and G itself is never made. Entries of P are
    +-1 / sqrt(size). A side that is not wider than `size` (the rank of an adapter) is left as it is, without loss.

    Inner products are kept in expectation. For one module with both sides projected, their variance is at most
    (4 k + 5) / k^2 |X|^2 |Y|^2, k = size. Proof: the projected product is the mean of f = (p^T X q)(p^T Y q) over k
    columns p and k columns q. Pairs of terms that share neither column are independent; those that share p add
    Var(p^T X Y^T p) <= 2 |X|^2 |Y|^2, as do those that share q; each with itself adds Var f <= E f^2 <= 9 |X|^2 |Y|^2,
    since E (p^T X q)^4 <= 9 |X|^4. Together (9 + 2 (k - 1) + 2 (k - 1)) / k^2. A projection to k^2 dimensions by one
    dense matrix has 2 / k^2 instead: two-sided ones are cheap, and noisier for a single module. Over concatenated
    modules the variances add, so the more modules share the norm, the less noise there is relative to |x|^2 |y|^2.

    Args:
        size: dimensions per side.
        seed: of the signs.
        pooled: sum the modules' projections instead of concatenating them, which is one projection of the whole
            gradient to size^2 dimensions. A side that is not wider than `size` is then padded with zeros, under random
            signs, without which different modules would correlate. The bound above holds for the whole gradient where
            each module has at least one side wider than `size`: what different modules X and Y add to the variance is
            at most 2 / k |X|^2 |Y|^2, and 2 / k^2 |X|^2 |Y|^2 where both sides of one of them are projected.

    Raises:
        GradsError: the size is below 1.
    """

    def __init__(self, size: int, seed: int, pooled: bool = False) -> None:
        _check_positive("size", size)
        self.size = size
        self.seed = seed
        self.pooled = pooled
        self._sides: dict[tuple[str, int, torch.device], Tensor] = {}

    def sides(self, name: str, outputs: int, inputs: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Return P_out (outputs x left) and P_in (inputs x right) of a module, float32, made once and kept.

        left and right are at most `size`, and `size` where the projection is pooled. Project token factors with them
        before the factors are multiplied.
        """
        place = torch.device(device)
        return self._side(f"{name}\x1foutputs", outputs, place), self._side(f"{name}\x1finputs", inputs, place)

    def project(self, name: str, gradient: Tensor) -> Tensor:
        """Return the projection of whole gradients, records x outputs x inputs, as records x (left x right)."""
        left, right = self.sides(name, gradient.shape[1], gradient.shape[2], gradient.device)
        return (left.T @ gradient.float() @ right).flatten(1)

    def join(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return one vector a record, records x dimension, of the modules' projections, in the order of their names."""
        ordered = [parts[name] for name in sorted(parts)]
        return torch.stack(ordered).sum(dim=0) if self.pooled else torch.cat(ordered, dim=1)

    def dimensions(self, shapes: Iterable[tuple[int, int]]) -> int:
        """Return the length of a record's vector, given outputs and inputs of each module."""
        if self.pooled:
            return self.size**2
        return sum(min(outputs, self.size) * min(inputs, self.size) for outputs, inputs in shapes)

    def _side(self, name: str, length: int, device: torch.device) -> Tensor:
        key = (name, length, device)
        if key not in self._sides:
            self._sides[key] = self._made(name, length, device)
        return self._sides[key]

    def _made(self, name: str, length: int, device: torch.device) -> Tensor:
        if length > self.size:
            return rademacher(self.seed, name, length, self.size, device=device) / math.sqrt(self.size)
        if not self.pooled:
            return torch.eye(length, device=device)
        signs = rademacher(self.seed, name, length, 1, device=device).flatten()
        return functional.pad(torch.diag(signs), (0, self.size - length))


class Dense:
    """Projection of all entries by one matrix of random signs, +-1 / sqrt(dimension).

    As LESS (M. Xia et al., arXiv 2402.04333, section 4) and TRAK (S. M. Park et al., arXiv 2303.14186, section 3)
    project; theirs are not scaled. The inner products are kept in expectation with variance at most
    2 / dimension |x|^2 |y|^2, and come to lie further than eps |x| |y| from what they were with probability at most
    4 exp(-(eps^2 / 2 - eps^3 / 3) dimension / 2) (D. Achlioptas, Database-friendly random projections, JCSS 2003,
    theorem 1.1, for the lengths of x + y and x - y).

    The matrix is made in blocks of rows, as they are used. Making a block costs about as much as multiplying it by 30
    records does, so records are best projected many at a time.

    Args:
        dimension: of the vectors.
        seed: of the signs.
        block_bytes: most memory of one block.
        kept_bytes: memory for blocks that are kept for the next call, the first ones first; the others are made again.

    Raises:
        GradsError: the dimension is below 1.
    """

    def __init__(self, dimension: int, seed: int, block_bytes: int = 2**26, kept_bytes: int = 2**28) -> None:
        _check_positive("dimension", dimension)
        self.dimension = dimension
        self.seed = seed
        self.kept_bytes = kept_bytes
        self.rows = max(1, block_bytes // (4 * dimension))
        self._kept: dict[tuple[str, int, int, torch.device], Tensor] = {}

    def project(self, name: str, flat: Tensor) -> Tensor:
        """Return records x dimension of one module's gradients, records x entries; add them up over modules."""
        result = torch.zeros(len(flat), self.dimension, device=flat.device)
        for first in range(0, flat.shape[1], self.rows):
            part = flat[:, first : first + self.rows].float()
            result.addmm_(part, self._block(name, first, part.shape[1], flat.device))
        return result / math.sqrt(self.dimension)

    def join(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return one vector a record, records x dimension: the modules' projections, added in the order of names."""
        return torch.stack([parts[name] for name in sorted(parts)]).sum(dim=0)

    def _block(self, name: str, first: int, rows: int, device: torch.device) -> Tensor:
        key = (name, first, rows, device)
        if key in self._kept:
            return self._kept[key]
        block = rademacher(self.seed, name, rows, self.dimension, first, device)
        if self.kept() + _bytes(block) <= self.kept_bytes:
            self._kept[key] = block
        return block

    def kept(self) -> int:
        """Return the bytes of the blocks that are kept."""
        return sum(_bytes(block) for block in self._kept.values())


def make_projection(features: Features) -> Kronecker | Dense:
    """Return the projection that `probe.features` asks for."""
    if features.projection == "dense":
        return Dense(features.dimension, features.seed)
    return Kronecker(features.size, features.seed, features.pooled)


def chosen_modules(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the module names that match at least one pattern (as of a shell: `*`, `?`, `[...]`), in their order.

    Raises:
        GradsError: a pattern matches none of them.
    """
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise GradsError(
                f"probe.features.modules: none of the modules whose gradients are taken matches '{pattern}': write a "
                f"pattern of whole names, which look like '{known[0]}', or ['*']"
            )
    return [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]


def arithmetic(entries: int, dimension: int, records: int) -> tuple[int, int]:
    """Return the multiply-adds of a dense projection of so many gradients, and the bytes of its whole matrix.

    Args:
        entries: of one record's gradient, over all modules.
        dimension: of the vectors.
        records: how many gradients.
    """
    return entries * dimension * records, 4 * entries * dimension


def dense_cost(
    entries: int, dimension: int, records: int, parameters: int, tokens: int, allow_costly: bool = False
) -> str:
    """Return a sentence with the arithmetic of a dense projection next to that of the pass that takes the gradients.

    The pass takes 2 x parameters x tokens multiply-adds: one per weight and token in the forward pass, one in the
    backward pass of activations.

    Args:
        entries: see `arithmetic`, as for `dimension` and `records`.
        dimension: see there.
        records: see there.
        parameters: weights that a token is multiplied by, the input embedding not among them.
        tokens: of all records together.
        allow_costly: `probe.features.allow_costly`.

    Raises:
        GradsError: the projection costs more than the pass, and that is not allowed.
    """
    projection, bytes_ = arithmetic(entries, dimension, records)
    work = 2 * parameters * tokens
    sentence = (
        f"the dense projection takes {records:,} records x {entries:,} entries x {dimension:,} dimensions = "
        f"{projection:.1e} multiply-adds (its matrix {bytes_ / 2**30:.1f} GiB), {projection / work:.2g} times the "
        f"2 x {parameters:,} parameters x {tokens:,} tokens = {work:.1e} of the pass itself"
    )
    if projection > work and not allow_costly:
        raise GradsError(
            f"{sentence}: set probe.features.allow_costly to true if that is what you want, or lower "
            "probe.features.dimension, choose fewer probe.features.modules, or take projection: kronecker"
        )
    return sentence


def _check_positive(key: str, value: int) -> None:
    if value < 1:
        raise GradsError(f"probe.features.{key} is {value}: give a whole number of at least 1")


def _bytes(block: Tensor) -> int:
    return block.untyped_storage().nbytes()
