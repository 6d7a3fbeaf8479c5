"""Wheels and sdists as data containers: fetched, checked, read member by member; nothing in them is ever executed."""

import difflib
import gzip
import lzma
import shutil
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import requests

from grads.config.sources import Archive
from grads.data.sources.addresses import without_password
from grads.data.sources.package_index import TIMEOUT, local_path, locate, open_session, pip_settings
from grads.runtime.errors import GradsError
from grads.runtime.files import sha256_file
from grads.runtime.progress import Progress, say

ATTEMPTS = 5
CHUNK = 1 << 20
# What reading a damaged zip, or tar of any compression, raises, with `OSError` without a number.
DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, struct.error),
    *(zipfile.LargeZipFile, OverflowError),
)
ENCRYPTED = 0x1
"""The flag of a zip's member that needs a password."""


def fetch(archive: Archive, folder: Path | str) -> Path:
    """Return `folder/<file>`, taken from the index that pip is configured for unless it is there already.

    The package's own set-up code never runs: the file is found through the index's simple API (PEP 503, PEP 691) and
    streamed. An interrupted download goes on where it stopped.

    Raises:
        GradsError: the file is nowhere, the network fails, or its SHA-256 is not the one in the config.
    """
    if Path(archive.file).name != archive.file:
        raise GradsError(f"archives: file '{archive.file}' of {archive.package} must be a file name without a folder")
    path = Path(folder) / archive.file
    if path.is_file():
        _check(path, archive, "delete the file and it is fetched again")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{archive.file}.{archive.sha256[:12]}.download")
    try:
        settings = pip_settings()
        with open_session(settings) as session:
            address = locate(archive, settings, session)
            _copy(address, unfinished, archive.file, session)
    except GradsError as error:
        raise GradsError(f"{error}; or place the file there by hand: {path}") from None
    try:
        _check(unfinished, archive, f"run the command again, in case {without_password(address)} sent a damaged file")
    except GradsError:
        unfinished.unlink()
        raise
    return unfinished.replace(path)


def _check(path: Path, archive: Archive, remedy: str) -> None:
    found = sha256_file(path)
    if found != archive.sha256:
        raise GradsError(
            f"{path} has SHA-256 {found}, but the config asks for {archive.sha256} of {archive.file}: {remedy}, "
            "or correct 'sha256' in 'archives' if you trust this one"
        )


def _copy(address: str, unfinished: Path, name: str, session: requests.Session) -> None:
    local = local_path(address)
    if local is not None:
        say(f"{name}: copied from {local}")
        shutil.copyfile(local, unfinished)
        return
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _download(address, unfinished, name, session)
            return
        except requests.RequestException as error:
            status = error.response.status_code if error.response is not None else 0
            refused = status in {401, 403, 404, 410}
            if attempt == ATTEMPTS or refused:
                reason = f"status {status}" if status else type(error).__name__
                place = without_password(address)
                raise GradsError(f"{place} failed ({reason}): run the same command again to go on with it") from None
            say(f"{name}: {type(error).__name__}, trying again in {2**attempt} s")
            time.sleep(2**attempt)


def _download(address: str, unfinished: Path, name: str, session: requests.Session) -> None:
    start = unfinished.stat().st_size if unfinished.exists() else 0
    # Without compression on the way, so that lengths and offsets are those of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with session.get(address, stream=True, timeout=TIMEOUT, headers=headers) as answer:
        if answer.status_code == 416:  # Nothing is left to send, or the partial file is of another one.
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(start):
                return
            unfinished.unlink()
        answer.raise_for_status()
        if answer.status_code != 206:
            start = 0
        length = start + int(answer.headers.get("Content-Length", 0))
        progress = Progress(name, -(-length // CHUNK), "MiB")
        with unfinished.open("ab" if start else "wb") as handle:
            for block in answer.iter_content(CHUNK):
                handle.write(block)
                if length > start:  # A server need not say the length.
                    progress.advance(-(-handle.tell() // CHUNK) - progress.done)
    if unfinished.stat().st_size < length:
        raise requests.ConnectionError("the server closed the connection early")


@contextmanager
def open_member(path: Path | str, member: str) -> Iterator[IO[bytes]]:
    """Open one file inside a zip (wheel) or tar archive for reading.

    Raises:
        GradsError: the archive cannot be read, or has no such file; names the nearest one.
    """
    with _files(Path(path)) as files:
        if member not in files:
            raise GradsError(f"{path} has no file '{member}'{_hint(member, files)}: correct 'member' in the config")
        with files[member]() as handle:
            yield handle


def read_member(path: Path | str, member: str) -> bytes:
    """Return the bytes of one file inside a zip (wheel) or tar archive; raises like `open_member`."""
    with open_member(path, member) as handle:
        return handle.read()


def read_folder(path: Path | str, folder: str) -> dict[str, bytes]:
    """Return the files directly inside a folder of a zip (wheel) or tar archive: name without folder to bytes.

    Raises:
        GradsError: the archive cannot be read, or has no file in such a folder.
    """
    wanted = folder.strip("/")
    found: dict[str, bytes] = {}
    with _files(Path(path)) as files:
        for member, opened in files.items():
            parent, _, name = member.rpartition("/")
            if parent == wanted:
                with opened() as handle:
                    found[name] = handle.read()
        folders = {member.rpartition("/")[0] for member in files}
    if not found:
        raise GradsError(f"{path} has no folder '{wanted}'{_hint(wanted, folders)}: correct 'member' in the config")
    return found


@contextmanager
def _files(path: Path) -> Iterator[dict[str, Callable[[], IO[bytes]]]]:
    """Yield the plain files of an archive, each with what opens it; links, devices and folders are left out."""
    if not path.is_file():
        raise GradsError(f"{path} is not there: fetch the study's archives first")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                infos = [info for info in zipped.infolist() if not info.is_dir()]
                yield {info.filename: partial(_open_zipped, path, zipped, info) for info in infos}
        else:
            with tarfile.open(path) as tarred:
                # Only plain files are taken, which always open.
                yield {info.name: partial(tarred.extractfile, info) for info in tarred if info.isfile()}  # type: ignore
    except DAMAGED as error:
        raise _damaged(path, error) from None
    except OSError as error:
        # A damaged bz2 has no number; what the disk or the network refuses has one.
        if error.errno is not None:
            raise
        raise _damaged(path, error) from None


def _open_zipped(path: Path, zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member of a zip, of those that can be opened without a password and by Python."""
    if info.flag_bits & ENCRYPTED:
        raise GradsError(f"{path}: '{info.filename}' is encrypted: name an archive without a password")
    try:
        return zipped.open(info)
    except NotImplementedError as error:
        raise GradsError(
            f"{path}: '{info.filename}' cannot be unpacked ({error}): pack it again, by the usual 'deflate'"
        ) from None


def _damaged(path: Path, error: Exception) -> GradsError:
    reason = str(error) or type(error).__name__
    return GradsError(f"{path} cannot be read as a zip or tar archive ({reason}): delete it and fetch again")


def _hint(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.3)
    return f" (the nearest is '{close[0]}')" if close else ""
