"""Entries in a file that a kill at any moment leaves whole or not there at all."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from grads.runtime.files import reading
from grads.runtime.progress import say

HEADER = struct.Struct("<QI")


class Journal:
    """Entries of bytes, one after the other, each behind its length and CRC-32.

    An entry counts once `append` has returned, and then survives a kill and, as far as the disk keeps its word, a power
    cut. What a kill left half written is cut off when the file is opened again.

    Args:
        path: of the file.
        key: of what its entries are of; those of a file with another one are thrown away, and that is said.

    Raises:
        GradsError: the file cannot be read.
    """

    def __init__(self, path: Path, key: str = "") -> None:
        self.path = path
        self._opening = f"journal of {key}".encode() if key else None
        with reading(path):
            path.touch()
            self._cut(path.stat().st_size)
        _sync(path.parent)

    def _cut(self, size: int) -> None:
        """Cut off what is not whole, and all of what belongs to something else."""
        whole = sum(HEADER.size + len(content) for content in self._contents())
        if whole < size:
            say(f"{self.path}: its last {size - whole:,} of {size:,} bytes are not whole, and made again")
            os.truncate(self.path, whole)
        if self._opening is None:
            return
        opening = next(self._contents(), None)
        if opening not in (None, self._opening):
            say(f"{self.path} is of something else: it is begun again")
            os.truncate(self.path, 0)
            opening = None
        if opening is None:
            self._write(self._opening)

    def append(self, content: bytes) -> None:
        """Add an entry and wait until the disk has it."""
        self._write(content)

    def _write(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(HEADER.pack(len(content), zlib.crc32(content)))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def __iter__(self) -> Iterator[bytes]:
        """Yield the entries, in the order in which they came."""
        contents = self._contents()
        if self._opening is not None:
            next(contents, None)
        yield from contents

    def _contents(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while len(header := file.read(HEADER.size)) == HEADER.size:
                length, checksum = HEADER.unpack(header)
                # A damaged length may be any number.
                content = file.read(min(length, size))
                if len(content) < length or zlib.crc32(content) != checksum:
                    return
                yield content


def _sync(folder: Path) -> None:
    """Have the disk remember the names in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
