"""Finished parts of an evaluation, kept so that another benchmark, or a kill, does not measure the others again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.files import digest, read_object, remove, write_json
from grads.runtime.progress import say


@dataclass(frozen=True)
class Part:
    """What was measured, as JSON has it, and the seconds that it took."""

    content: Any
    seconds: float


@dataclass(frozen=True)
class Parts:
    """The parts of one job's evaluations in a folder, one file each; without a folder nothing is kept.

    A part is used again if all that shaped it is the same, by its key, and if its file is as it was written.
    """

    folder: Path | None

    def has(self, name: str, key: Mapping[str, Any]) -> bool:
        """Return whether a part is there."""
        return self._stored(name, key) is not None

    def part(self, name: str, key: Mapping[str, Any], make: Callable[[], Any]) -> Part:
        """Return a part: the one that is there, or what `make` returns, which is kept.

        Args:
            name: of the part, as part of a file's name.
            key: all that shapes it, as JSON values.
            make: measures it; returns JSON values.
        """
        stored = self._stored(name, key)
        if stored is not None:
            say(f"{name}: measured before, by an earlier job")
            return stored
        started = time.monotonic()
        made = Part(make(), time.monotonic() - started)
        if self.folder is not None:
            content = {"key": digest(dict(key)), "content": made.content, "seconds": made.seconds}
            write_json(self._path(name), content | {"sha256": digest(content)})
        return made

    def _stored(self, name: str, key: Mapping[str, Any]) -> Part | None:
        if self.folder is None or not self._path(name).is_file():
            return None
        try:
            found = read_object(self._path(name))
            sha256 = found.pop("sha256", None)
        except GradsError:
            found = {}
            sha256 = None
        if sha256 is None or sha256 != digest(found):
            say(f"{self._path(name)} is damaged: it is measured again")
            remove(self._path(name))
            return None
        return Part(found["content"], found["seconds"]) if found["key"] == digest(dict(key)) else None

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.json"
