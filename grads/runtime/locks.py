"""Locks that the kernel frees when their holder dies, so that nothing needs unlocking after a kill."""

import contextlib
import errno
import fcntl
import itertools
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from grads.runtime.errors import GradsError
from grads.runtime.files import digest
from grads.runtime.places import mount_of, naming_place, temporary_folder
from grads.runtime.progress import say

SWITCH = "GRADS_LOCKS"
"""Variable that switches locks in results off, for file systems that have none."""
HELD = {errno.EAGAIN, errno.EWOULDBLOCK}
# Where drivers show their GPUs.
NVIDIA = Path("/proc/driver/nvidia/gpus")
KFD = Path("/dev/kfd")
KFD_NODES = Path("/sys/class/kfd/kfd/topology/nodes")
DXG = Path("/dev/dxg")
WSL_CUDA = Path("/usr/lib/wsl/lib/libcuda.so.1")
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")

_held: list[IO[str]] = []


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a process and its machine, as far as the note in the file says."""

    pid: int | None = None
    host: str = ""

    def __str__(self) -> str:
        if self.pid is None:
            return "an unknown process"
        return f"process {self.pid}" + (f" on {self.host}" if self.host else "")


def locks_are_on() -> bool:
    """Return whether files in results are locked, which `GRADS_LOCKS=off` switches off.

    Raises:
        GradsError: the variable has another value.
    """
    asked = os.environ.get(SWITCH, "on")
    if asked not in ("on", "off"):
        raise GradsError(f"{SWITCH}={asked} is neither on nor off: set one of them, or unset it")
    return asked == "on"


def _flock(handle: IO[str], kind: int, remedy: str) -> bool:
    """Return whether an open file could be locked; another process holds it otherwise.

    Raises:
        GradsError: its file system has no locks.
    """
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        raise GradsError(
            f"{handle.name} cannot be locked ({error.strerror}): it is on {mount_of(handle.name)}, which has no file "
            f"locks: {remedy}"
        ) from None
    return True


WITHOUT = f"have it mounted with them, or set {SWITCH}=off and start one run of a study at a time"


def _try_lock(path: Path, remedy: str = WITHOUT) -> IO[str] | None:
    """Return the locked open file, or nothing when another process holds it.

    Raises:
        GradsError: the file cannot be written, or its file system has no locks.
    """
    while True:
        with naming_place(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.open("a+", encoding="utf-8")
        try:
            if not _flock(handle, fcntl.LOCK_EX, remedy):
                handle.close()
                return None
            if not _is_at(handle, path):
                # Somebody removed it in between: a lock on it keeps nobody out.
                handle.close()
                continue
            with naming_place(path.parent):
                handle.seek(0)
                handle.truncate()
                handle.write(f"{os.getpid()} {platform.node()}\n")
                handle.flush()
        except BaseException:
            handle.close()
            raise
        return handle


def _is_at(handle: IO[str], path: Path) -> bool:
    """Return whether an open file is still the one that has the name."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _read_note(path: Path) -> Holder:
    with contextlib.suppress(OSError):
        pid, _, host = path.read_text(encoding="utf-8", errors="replace").strip().partition(" ")
        return Holder(int(pid), host) if pid.isdecimal() else Holder()
    return Holder()


def lock_study(folder: Path) -> None:
    """Hold the study in `folder` until this process ends; nothing happens where locks are switched off.

    Raises:
        GradsError: another run holds it, the folder cannot be written to, or its file system has no locks.
    """
    if not locks_are_on():
        return
    path = folder / "study.lock"
    handle = _try_lock(path)
    if handle is None:
        raise GradsError(f"{folder}: another run ({_read_note(path)}) works on this study: wait for it, or stop it")
    _held.append(handle)


def study_holder(folder: Path) -> Holder | None:
    """Return who holds the study in `folder`, or nothing when it is free, or locks are switched off.

    Raises:
        GradsError: the file system of the folder has no locks.
    """
    path = folder / "study.lock"
    if not locks_are_on() or not path.is_file():
        return None
    with path.open(encoding="utf-8") as handle:
        return None if _flock(handle, fcntl.LOCK_SH, WITHOUT) else _read_note(path)


def probe_locks(folder: Path) -> None:
    """Try whether a lock in `folder` keeps others out and is freed.

    Raises:
        GradsError: its file system has no locks, or they keep nobody out.
    """
    path = folder / "probe.lock"
    for _ in range(2):
        handle = _try_lock(path)
        with path.open("a+", encoding="utf-8") as other:
            if handle is None or _flock(other, fcntl.LOCK_EX, WITHOUT):
                raise GradsError(f"{path} on {mount_of(folder)}: locks there keep nobody out: {WITHOUT}")
        handle.close()


@contextlib.contextmanager
def scratch_folder(folder: Path, key: object) -> Iterator[Path]:
    """Yield a folder for resumable state, locked, and named after the hash of all that shapes the state.

    It is removed when the block ends without error and kept otherwise, so that the next attempt resumes; state of
    another key is removed at once and never mixed.

    Raises:
        GradsError: another process works in it, or it is full, read-only or was removed while the block worked in it.
    """
    state = folder / digest(key, 16)
    with _scratch_lock(folder), naming_place(state, temporary_folder()):
        for other in folder.glob("*"):
            if other != state:
                shutil.rmtree(other)
        state.mkdir(parents=True, exist_ok=True)
        yield state
        if folder.is_dir():
            shutil.rmtree(folder)


def _scratch_lock(folder: Path) -> contextlib.AbstractContextManager[object]:
    """Return a lock on a scratch folder, held by the block that it is used in."""
    if not locks_are_on():
        return contextlib.nullcontext()
    path = folder.with_name(folder.name + ".lock")
    handle = _try_lock(path)
    if handle is None:
        raise GradsError(
            f"{folder}: another process works in this scratch folder ({_read_note(path)}): wait for it, or stop it"
        )
    return handle


def take_device_slot() -> None:
    """Keep one GPU for this process until it ends, and make it the only visible one.

    It is one of those that a variable such as CUDA_VISIBLE_DEVICES names, if one is set. Nothing happens without a
    device, or where the variable leaves no choice: a scheduler has chosen. `GRADS_LOCKS` does not change it: the locks
    are in the folder for temporary files, on a disk of this machine.

    Raises:
        GradsError: that folder cannot be written to, or has no locks.
    """
    count = local_devices()
    variable = next((name for name in _visible_variables() if name in os.environ), VISIBLE[0])
    given = os.environ.get(variable)
    names = [str(index) for index in range(count)] if given is None else [name.strip() for name in given.split(",")]
    if count == 0 or (given is not None and len(names) == 1):
        return
    folder = Path(tempfile.gettempdir()) / f"grads-devices-{os.getuid()}"
    remedy = "set TMPDIR to a folder on a disk of this machine"
    for attempt in itertools.count():
        for name in names:
            handle = _try_lock(folder / f"{name.replace('/', '-')}.lock", remedy)
            if handle is not None:
                _held.append(handle)
                os.environ[variable] = name
                return
        if attempt == 0:
            say("waiting for a GPU: other jobs hold all that are visible")
        time.sleep(1.0)


def local_devices() -> int:
    """Return the number of GPUs of this machine, without importing torch: NVIDIA's, else AMD's, else WSL2's.

    Under WSL2 the driver does not say how many there are; the first one is counted, which is the one that is taken.
    """
    nvidia = len(list(NVIDIA.glob("*")))
    return nvidia or amd_devices() or int(DXG.exists() and WSL_CUDA.exists())


def amd_devices() -> int:
    """Return the number of AMD GPUs that ROCm's driver shows to this process."""
    return sum(map(_is_gpu, KFD_NODES.glob("*/properties"))) if KFD.exists() else 0


def _is_gpu(properties: Path) -> bool:
    """Return whether a node of ROCm's driver computes; processors are nodes, too, without such units."""
    try:
        lines = properties.read_text().splitlines()
    except OSError:
        # Of a container's other GPUs.
        return False
    return any(line.startswith("simd_count ") and line.split()[1:] != ["0"] for line in lines)


def _visible_variables() -> tuple[str, ...]:
    """Return the variables that say which GPUs a process sees; ROCm has two more, of which SLURM sets the last."""
    return VISIBLE if amd_devices() else VISIBLE[:1]
