"""Files that are either whole or absent: written under a temporary name, flushed, then renamed."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.places import naming_place

AGAIN = "delete it and run again"
# What parsers raise over content that is not what they expect; Arrow's and NumPy's errors are among them.
_UNREADABLE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError),
    *(NotImplementedError, RecursionError, OverflowError),
)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path next to `path` (file or folder); rename it to `path` when the block ends without error.

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


@contextmanager
def reading(path: Path | str, remedy: str = AGAIN) -> Iterator[None]:
    """Turn what goes wrong while `path` is read and taken apart into one sentence that names it.

    Keep the block small: whatever a parser raises in it is taken for damage of the file.

    Raises:
        GradsError: the file is not there, cannot be read, or is damaged; `remedy` says what to do.
    """
    try:
        yield
    except OSError as error:
        raise GradsError(_unreadable(path, error, remedy)) from None
    except _UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise GradsError(f"{path} is damaged ({reason[:200]}): {remedy}") from None


def _unreadable(path: Path | str, error: OSError, remedy: str) -> str:
    if error.errno == errno.ENOENT:
        return f"{path} is not there: {remedy.replace('delete it and ', '')}"
    if error.errno == errno.EISDIR:
        return f"{path} is a folder, and should be a file: {remedy}"
    if error.errno is None:  # Arrow's, over damaged content.
        return f"{path} is damaged ({next(iter(str(error).splitlines()), '')[:200]}): {remedy}"
    return f"{path} cannot be read ({os.strerror(error.errno)}): {remedy}"


def read_json(path: Path | str, remedy: str = AGAIN) -> Any:
    """Read one JSON file.

    Raises:
        GradsError: the file is not there or damaged.
    """
    with reading(path, remedy):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def read_object(path: Path | str, remedy: str = AGAIN) -> dict[str, Any]:
    """Read one JSON file that holds an object; raises like `read_json`, and where it holds anything else."""
    found = read_json(path, remedy)
    if not isinstance(found, dict):
        raise GradsError(f"{path} is damaged (it holds no JSON object): {remedy}")
    return found


def write_jsonl(path: Path | str, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def read_jsonl(path: Path | str, remedy: str = AGAIN) -> list[dict[str, Any]]:
    """Read one JSON object a line; raises like `read_object`."""
    return list(iterate_jsonl(path, remedy))


def iterate_jsonl(path: Path | str, remedy: str = AGAIN) -> Iterator[dict[str, Any]]:
    """Yield one JSON object a line, without holding all of them; raises like `read_object`."""
    with reading(path, remedy), Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _object(line, f"{path}:{number}", remedy)


def _object(line: str, place: str, remedy: str) -> dict[str, Any]:
    with reading(place, remedy):
        row = json.loads(line)
    if not isinstance(row, dict):
        raise GradsError(f"{place} is damaged (the line holds no JSON object): {remedy}")
    return row


def sha256_file(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any, length: int = 64) -> str:
    """Return the SHA-256 of `value`'s canonical JSON (sorted keys, no spaces), cut to `length` hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
