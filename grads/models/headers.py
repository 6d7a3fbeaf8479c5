"""What files of safetensors hold, by their headers alone: read without torch."""

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, at most."""
BYTES = {
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2},
    **{"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1},
}
"""Bytes of a number, by the names of safetensors."""


@dataclass(frozen=True)
class Stored:
    """A tensor in a file of weights: its shape, and its type by the name of safetensors."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def entries(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """Return what all safetensors of a folder hold, by name, from their headers; a name that comes twice counts once.

    Raises:
        OSError, ValueError, struct.error: a file cannot be read, or is none.
    """
    found: dict[str, Stored] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= _header(path)
    return found


def _header(path: Path) -> dict[str, Stored]:
    with path.open("rb") as handle:
        (length,) = struct.unpack("<Q", handle.read(8))
        if length > LONGEST_HEADER:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(handle.read(length))
    try:
        tensors = {name: held for name, held in header.items() if name != "__metadata__"}
        return {name: Stored(tuple(held["shape"]), str(held["dtype"])) for name, held in tensors.items()}
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"{path} is no safetensors file") from None
