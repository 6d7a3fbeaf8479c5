"""What files hold, known by their SHA-256, and read once for as long as they stay as they are."""

import os
import time
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from grads.runtime.errors import GradsError
from grads.runtime.files import read_object, reading, sha256_file, write_json

# A file that changes twice within one tick of the kernel's clock has the same times: so young a file is not remembered.
TICK_NS = 50_000_000
OUTSIDE = Path(".snakemake") / "grads-fingerprints.json"
"""Where the workflow remembers the files that come from outside a study."""


class Stamp(NamedTuple):
    """What a file's directory entry says of it. A file whose stamp has not changed has not changed.

    Nothing but a write, a rename or the like moves `ctime_ns`: a file put in place with an older date is noticed.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def stamp_of(path: Path | str) -> Stamp:
    """Return a file's stamp."""
    found = os.stat(path)  # noqa: PTH116 - there are tens of thousands, and a Path costs more than the call
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class Fingerprints:
    """The SHA-256 of files, remembered by their stamps.

    Args:
        cache: the JSON file that keeps them for later processes; None keeps them in this one only. What is wrong with
            it, or with writing it, only costs time.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache
        self._changed = False

    @cached_property
    def _known(self) -> dict[str, Any]:
        if self.cache is None or not self.cache.is_file():
            return {}
        try:
            return read_object(self.cache)
        except GradsError:
            return {}

    def sha256(self, path: Path | str) -> str:
        """Return the SHA-256 of a file.

        Raises:
            GradsError: it is not there or cannot be read.
        """
        key = str(Path(path).absolute())
        with reading(path, "give a file that can be read"):
            stamp = stamp_of(path)
            known = self._known.get(key)
            if isinstance(known, list) and known[:-1] == list(stamp):
                return str(known[-1])
            found = sha256_file(path)
        if time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) > TICK_NS:
            self._known[key] = [*stamp, found]
            self._changed = True
        return found

    def save(self) -> None:
        """Keep what was found for later processes."""
        if self.cache is None or not self._changed:
            return
        try:
            write_json(self.cache, self._known)
        except OSError:
            return
        self._changed = False
