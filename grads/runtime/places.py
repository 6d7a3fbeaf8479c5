"""What a place lacks that files are written to: room, permission, a quota; and which file system it lies on."""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grads.runtime.errors import GradsError

# What keeps a folder from taking any more, whichever file is written there.
FULL = {
    errno.ENOSPC: "no room is left",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file is larger than is allowed",
}
# What one path lacks; without its name these say nothing.
OF_A_PATH = {
    *(errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
}
# Libraries raise errors of their own: in Rust with the number, elsewhere with the system's words or none of them.
RUST = re.compile(r"\(os error (\d+)\)")
SHORT_WRITES = re.compile(
    r"requested and \d+ written|PytorchStreamWriter failed|file write failed|unexpected pos \d+ vs"
)
# The names that `atomic_path` gives to what is not finished.
UNFINISHED = re.compile(r"\.(?P<stem>.+)\.(?P<process>\d+)\.part(\.[^.]*)?")
NO_TEMPORARY = "No usable temporary directory"


@dataclass(frozen=True)
class Mount:
    """Where a file system is mounted, and its kind, such as `ext4`, `nfs4` or `lustre`; empty where it is unknown."""

    point: Path
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} mounted at {self.point}".strip()


def mount_of(path: Path | str) -> Mount:
    """Return the mount that a path lies on, or will when it is made."""
    folder = _nearest_folder(Path(path))
    found = None
    with contextlib.suppress(OSError):
        table = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        for line in table.splitlines():
            point, kind = line.split(" ")[1:3]
            mounted = Path(_unescaped(point))
            # The deepest holds it, and of several over one another the last.
            if folder.is_relative_to(mounted) and (found is None or mounted.is_relative_to(found.point)):
                found = Mount(mounted, kind)
    if found is not None:
        return found
    while not folder.is_mount():
        folder = folder.parent
    return Mount(folder, "")


def _nearest_folder(path: Path) -> Path:
    """Return the folder that a path is or lies in, as far as it is there, without links."""
    folder = path.resolve()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)


@contextlib.contextmanager
def naming_place(*folders: Path) -> Iterator[None]:
    """Name the folder that a block writes to where it is full, read-only or gone; other errors stay what they are.

    Of several folders, for an error that names none, it is the one with the least room.

    Raises:
        GradsError: the block failed for what the place lacks.
    """
    try:
        yield
    except Exception as error:
        sentence = place_sentence(error, folders)
        if sentence is None:
            raise
        raise GradsError(sentence) from error


def place_sentence(error: BaseException, folders: Iterable[Path]) -> str | None:
    """Return what the place that an error is about lacks, and what to do; nothing where it is another error.

    Args:
        error: an error of the system or of a library that writes files, which often names no file, or the wrong one.
        folders: those that may have been written to, at least one, for errors without a name.
    """
    asked = list(folders)
    if isinstance(error, GradsError):
        return None
    for one in _chain(error):
        if NO_TEMPORARY in str(one):
            return f"{one}: make room in one of them, or set TMPDIR to a folder with room"
        number = _number(one)
        path = _path(one)
        if number in FULL:
            return _full(number, path.parent if path else _most_wanting(asked))
        if number in OF_A_PATH and path is not None and one is error:
            return (
                f"{path}: {os.strerror(number)}: choose another place or name, or change what keeps it from being used"
            )
        if number == errno.ENOENT and (gone := next((folder for folder in asked if not folder.is_dir()), None)):
            return f"{gone} was removed while it was written to: start the same command again"
    return None


def temporary_folder() -> Path:
    """Return where libraries put temporary files, whether or not it can be written to."""
    return Path(os.environ.get("TMPDIR", "/tmp"))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it came of, the nearest first."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _number(error: BaseException) -> int | None:
    """Return the system's number of an error, also of a library's that has only its words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if found := RUST.search(text):
        return int(found[1])
    if SHORT_WRITES.search(text):
        return errno.ENOSPC
    return next((number for number in FULL if os.strerror(number) in text), None)


def _path(error: BaseException) -> Path | None:
    """Return the file that an error is about: of a copy the target, which is the second name."""
    if not isinstance(error, OSError):
        return None
    name = error.filename2 if error.filename2 is not None else error.filename
    # A number is a descriptor.
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes | os.PathLike) else None


def _most_wanting(folders: list[Path]) -> Path:
    """Return the folder with the least room, a read-only one first."""

    def room(folder: Path) -> tuple[bool, int]:
        found = os.statvfs(_nearest_folder(folder))
        return not found.f_flag & os.ST_RDONLY, found.f_bavail * found.f_frsize

    return min(folders, key=room)


def _full(number: int, folder: Path) -> str:
    # What is not finished lies in a folder that nobody has asked for.
    while any(UNFINISHED.fullmatch(part) for part in folder.parts):
        folder = folder.parent
    found = os.statvfs(_nearest_folder(folder))
    room = f"{size(found.f_bavail * found.f_frsize)} free of {size(found.f_blocks * found.f_frsize)}"
    if found.f_files and not found.f_favail:
        room += ", no more files allowed"
    return (
        f"{folder} cannot be written to: {FULL[number]} ({mount_of(folder)}, {room}): make room there, or choose "
        "another place"
    )


def size(count: int) -> str:
    """Return bytes as `512 B`, `34.5 kB`, `1.2 MB` or `230.0 GB`."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} GB"
