"""Entries in a file that a kill at any moment leaves whole or not there at all."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

HEADER = struct.Struct("<QI")


class Journal:
    """Entries of bytes, one after the other, each behind its length and CRC-32.

    An entry counts once `append` has returned, and then survives a kill and, as far as the disk keeps its word, a power
    cut. What a kill left half written is cut off when the file is opened again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        end = 0
        for content in self:
            end += HEADER.size + len(content)
        if end < path.stat().st_size:
            os.truncate(path, end)
        _sync(path.parent)

    def append(self, content: bytes) -> None:
        """Add an entry and wait until the disk has it."""
        with self.path.open("ab") as file:
            file.write(HEADER.pack(len(content), zlib.crc32(content)))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def __iter__(self) -> Iterator[bytes]:
        """Yield the entries, in the order in which they came."""
        with self.path.open("rb") as file:
            while len(header := file.read(HEADER.size)) == HEADER.size:
                length, checksum = HEADER.unpack(header)
                content = file.read(length)
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
