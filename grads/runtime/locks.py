"""Locks that the kernel frees when their holder dies, so that nothing needs unlocking after a kill."""

import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from grads.runtime.errors import GradsError
from grads.runtime.files import digest
from grads.runtime.progress import say

_held: list[IO[str]] = []


def _try_lock(path: Path) -> IO[str] | None:
    """Return the locked open file, or nothing when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    handle.seek(0)
    handle.truncate()
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle


def lock_study(folder: Path) -> None:
    """Hold the study in `folder` until this process ends.

    Raises:
        GradsError: another run holds it.
    """
    path = folder / "study.lock"
    handle = _try_lock(path)
    if handle is None:
        holder = path.read_text(encoding="utf-8").strip()
        raise GradsError(f"{folder}: another run (process {holder}) works on this study: wait for it, or stop it")
    _held.append(handle)


def study_holder(folder: Path) -> str | None:
    """Return the process that holds the study in `folder`, or nothing when it is free."""
    path = folder / "study.lock"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return handle.read().strip()
    return None


@contextlib.contextmanager
def scratch_folder(folder: Path, key: object) -> Iterator[Path]:
    """Yield a folder for resumable state, locked, and named after the hash of all that shapes the state.

    It is removed when the block ends without error and kept otherwise, so that the next attempt resumes; state of
    another key is removed at once and never mixed.

    Raises:
        GradsError: another process works in it.
    """
    handle = _try_lock(folder.with_name(folder.name + ".lock"))
    if handle is None:
        raise GradsError(f"{folder}: another process works in this scratch folder: wait for it, or stop it")
    with handle:
        state = folder / digest(key, 16)
        for other in folder.glob("*"):
            if other != state:
                shutil.rmtree(other)
        state.mkdir(parents=True, exist_ok=True)
        yield state
        shutil.rmtree(folder)


def take_device_slot() -> None:
    """Keep one CUDA device for this process until it ends, and make it the only visible one.

    It is one of those that CUDA_VISIBLE_DEVICES names, if that is set. Nothing happens without a device, or where the
    variable leaves no choice: a scheduler has chosen.
    """
    count, given = local_devices(), os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(count)] if given is None else [name.strip() for name in given.split(",")]
    if count == 0 or (given is not None and len(names) == 1):
        return
    folder = Path(tempfile.gettempdir()) / f"grads-devices-{os.getuid()}"
    for attempt in itertools.count():
        for name in names:
            handle = _try_lock(folder / f"{name.replace('/', '-')}.lock")
            if handle is not None:
                _held.append(handle)
                os.environ["CUDA_VISIBLE_DEVICES"] = name
                return
        if attempt == 0:
            say("waiting for a GPU: other jobs hold all that are visible")
        time.sleep(1.0)


def local_devices() -> int:
    """Return the number of NVIDIA devices of this machine, without importing torch."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
