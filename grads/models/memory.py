"""Memory of the device: what is free, and what a piece of work takes."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SELF = Path("/proc/self")
GROUPS = Path("/sys/fs/cgroup")


def watch_memory(device: torch.device) -> Callable[[], int | None]:
    """Return a function for the most bytes held since now beyond those held now; it says None if nobody knows.

    On a CPU the kernel's account of this process is read (Linux). What the process keeps of what it freed (see
    `grads.runtime.process`) is given back first: work that fits into it would seem to take nothing.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        return lambda: torch.cuda.max_memory_allocated(device) - before
    give_back()
    held = _status("VmRSS") if _reset_peak() else None

    def most() -> int | None:
        highest = _status("VmHWM")
        return None if held is None or highest is None else max(0, highest - held)

    return most


def give_back() -> None:
    """Give back to the kernel what was freed and kept, with glibc; with another C library nothing happens."""
    gc.collect()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def spent(started: float, device: torch.device) -> dict[str, Any]:
    """Return what work that started then (`time.monotonic`) took, as JSON values.

    `seconds`, and `peak_memory`, bytes that this process held at most, counted from the last `watch_memory` on:
    `resident`, and on a GPU `device`; not what nobody knows.
    """
    resident = _status("VmHWM")
    peak = {} if resident is None else {"resident": resident}
    if device.type == "cuda":
        peak["device"] = torch.cuda.max_memory_allocated(device)
    return {"seconds": round(time.monotonic() - started, 3), "peak_memory": peak}


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or for torch's allocator on the CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that this process may still take; None if nobody knows.

    On a CPU it is what the machine has, or what a control group (a container, a job of a cluster) leaves.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    machine = _field(Path("/proc/meminfo"), "MemAvailable:")
    if machine is None:
        return None
    return max(0, min([machine * 1024, *_group_limits()]))


def _group_limits() -> list[int]:
    """Return what each control group around this process leaves, version 2 of their interface."""
    try:
        name = (SELF / "cgroup").read_text().partition("::")[2].splitlines()[0].strip("/")
    except (OSError, IndexError):
        return []
    found = []
    # The root of a container's own view of the tree has its limit without having a name.
    for folder in [GROUPS / name, *(GROUPS / name).parents]:
        if not folder.is_relative_to(GROUPS):
            break
        limit = _number(folder / "memory.max")
        used = _field(folder / "memory.stat", "anon")
        if limit is not None and used is not None:
            found.append(limit - used)
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _status(name: str) -> int | None:
    found = _field(SELF / "status", f"{name}:")
    return None if found is None else found * 1024


def _field(path: Path, name: str) -> int | None:
    """Return the number behind a name at the start of a line."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), None)


def _reset_peak() -> bool:
    """Reset the kernel's note of the most memory that this process has held."""
    try:
        (SELF / "clear_refs").write_text("5")
    except OSError:
        return False
    return True
