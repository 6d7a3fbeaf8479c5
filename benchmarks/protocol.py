"""What a contestant's process is told and answers: JSON lines on its standard input and output.

Every contestant has a process of its own, which loads once and then waits to be told, so that repeats can be
interleaved, and so that peak memory is one contestant's. Imports the standard library only: one contestant runs in an
environment that has no `grads`.
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

PEAK = "VmHWM"


@dataclass(frozen=True)
class Settings:
    """What shapes a contestant; `side` x `side` is what the gradient of a module is projected to."""

    name: str
    model: str
    threads: int = 2
    token_budget: int = 2048
    side: int = 16
    encoder: str = ""

    def to_json(self) -> str:
        """Return the settings as one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Variant:
    """How a contestant is called in the table, what makes it, and whether it has a compiled twin.

    `make(settings, compiled)` is not timed; it returns a function of the examples, which is.
    """

    title: str
    make: Callable[[Settings, bool], Callable[[Sequence[Any]], object]]
    compilable: bool = True


class Contestant(Protocol):
    """What is measured: `prepare` is not timed, `run` is."""

    def prepare(self, rows: list[dict[str, Any]]) -> None:
        """Take examples as objects with `id`, `input_ids`, `prompt_tokens` and `text`."""

    def run(self) -> None:
        """Go over all examples once."""


def serve(make: Callable[[Settings], Contestant]) -> None:
    """Answer requests until standard input ends; the first argument of the command line is the settings.

    `{"examples": path}` is answered with the resident memory with model and examples loaded, `{}` with a run's wall
    and processor seconds (all threads) and the peak of resident memory during it; memory in bytes.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # What libraries print must not be taken for an answer.
        contestant = make(Settings(**json.loads(sys.argv[1])))
        for line in sys.stdin:
            request = json.loads(line)
            answer = _prepare(contestant, request["examples"]) if "examples" in request else _run(contestant)
            print(json.dumps(answer), file=answers, flush=True)


def _prepare(contestant: Contestant, path: str) -> dict[str, float]:
    with Path(path).open(encoding="utf-8") as lines:
        contestant.prepare([json.loads(line) for line in lines])
    gc.collect()
    return {"loaded": memory("VmRSS")}


def _run(contestant: Contestant) -> dict[str, float]:
    release()
    reset_peak()
    processor, started = time.process_time(), time.perf_counter()
    contestant.run()
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    peak = memory(PEAK)
    release()
    return {"seconds": seconds, "processor_seconds": processor, "peak": peak}


def reset_peak() -> None:
    """Set the peak of resident memory to what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def release() -> None:
    """Give back what is free: the contestants share the machine's memory, and each run starts alike."""
    gc.collect()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def memory(name: str) -> int:
    """Return an entry of this process's status in bytes: VmRSS is what is resident, PEAK its highest value."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
