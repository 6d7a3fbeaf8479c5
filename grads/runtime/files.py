"""Files that are either whole or absent: written under a temporary name, flushed, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grads.runtime.places import naming_place


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` (file or folder); rename it to `path` when the block ends without error.

    Raises:
        GradsError: the folder is full, read-only or was removed.
    """
    path = Path(path)
    # The process number keeps two writers apart; the suffix stays last because some writers choose a format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with naming_place(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _replace(temporary, path)
        finally:
            remove(temporary)


def _replace(temporary: Path, path: Path) -> None:
    if temporary.is_file():
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
    elif path.is_dir():
        remove(path)
    temporary.replace(path)


def link_or_copy(path: Path, target: Path) -> None:
    """Make `target` the same file as `path` (a hard link) where both are on one file system, else a copy of it.

    A link takes no room and no time, and stays when `path` is deleted or replaced. It changes with `path` only if that
    is written into in place, which its time then tells; so what was made of it knows its size and time.
    """
    try:
        os.link(path.resolve(), target)
    except OSError:  # Another file system, one without links, or somebody else's file.
        shutil.copyfile(path, target)


def remove(path: Path) -> None:
    """Delete a file or folder; do nothing when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically, in UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; NaN and infinity are refused, since JSON has no such numbers."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read one JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_jsonl(path: Path | str, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """Read one JSON object a line."""
    with Path(path).open(encoding="utf-8") as handle:
        return [json.loads(line) for line in handle if line.strip()]


def sha256_file(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any, length: int = 64) -> str:
    """Return the SHA-256 of `value`'s canonical JSON (sorted keys, no spaces), cut to `length` hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
