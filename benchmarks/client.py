"""Driving the contestants' processes: starting them, telling them, and interleaving their runs."""

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.catalogue import Entry
from benchmarks.protocol import Settings
from grads.runtime.progress import say

ROOT = Path(__file__).parents[1]


class WorkerError(RuntimeError):
    """A contestant's process ended before its answer."""


@dataclass(frozen=True)
class Run:
    """One timed run: wall and processor seconds, and the peak of resident memory in bytes."""

    seconds: float
    processor_seconds: float
    peak: int


class Worker:
    """A contestant's process; leave the `with` block to end it.

    Args:
        entry: which module it runs.
        settings: what it is told.
        python: the interpreter of its environment.
        scratch: folder of its log and of the compiler's cache.
    """

    def __init__(self, entry: Entry, settings: Settings, python: Path, scratch: Path) -> None:
        self.name, self.log = settings.name, scratch / f"{settings.name}.log"
        scratch.mkdir(parents=True, exist_ok=True)
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [str(python), "-m", entry.module, settings.to_json()],
                cwd=ROOT,
                env=os.environ | _environment(settings.threads, cache_folder(scratch, settings.name)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def prepare(self, examples: Path) -> int:
        """Load the examples; return the resident memory in bytes with model and examples."""
        return self._ask({"examples": str(examples.resolve())})["loaded"]

    def run(self) -> Run:
        """Go over the examples once."""
        return Run(**self._ask({}))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # Its end of output says the same.
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            status = self.process.wait()  # Before the log is read: its last words come late.
            last = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            raise WorkerError("\n".join([f"{self.name} ended with status {status}; {self.log}:", *last]))
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


def _environment(threads: int, cache: Path) -> dict[str, str]:
    """Return what keeps a process on the CPU, off the network and to its threads, with a compiler cache of its own."""
    return {
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "TORCHINDUCTOR_CACHE_DIR": str(cache.resolve()),
        "TQDM_DISABLE": "1",
    }


def cache_folder(scratch: Path, name: str) -> Path:
    """Return the folder of a contestant's compiled code."""
    return scratch / "compiled" / name


def interleave(workers: Mapping[str, Worker], repeats: int, label: str) -> dict[str, list[Run]]:
    """Return `repeats` runs of every worker; each repeat runs all of them once, beginning with another one."""
    names, runs = list(workers), {name: list[Run]() for name in workers}
    for repeat in range(repeats):
        start = repeat * len(names) // repeats
        for name in [*names[start:], *names[:start]]:
            runs[name].append(workers[name].run())
            say(f"{label}: repeat {repeat + 1}/{repeats}, {name}: {runs[name][-1].seconds:.2f} s")
    return runs
