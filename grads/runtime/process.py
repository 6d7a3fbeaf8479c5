"""The life of a job's process: it dies with its parent, keeps a log, and speaks in sentences."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.manifest import begin_artefacts, read_inputs, write_manifests
from grads.runtime.progress import say

# Where every file that a job reads was made by another one.
RESULTS = Path("results")
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


@contextlib.contextmanager
def job(snakemake: Any, hub: bool = False) -> Iterator[None]:
    """Run the body as a job of the workflow.

    It asks to die with its parent, copies what it prints to the job's log, limits numeric libraries to its threads (so
    call it before importing them), keeps Hugging Face libraries off the network, unless it is there to fetch from the
    `hub`, and their bars off the log, and turns a `GradsError` into its sentence and exit status 2. What it reads is
    checked against what its makers recorded, and files from outside against the parameter `contents`: their SHA-256
    when the job was planned. What is finished gets its manifest.
    """
    started = time.time()
    die_with_parent()
    _copy_output(Path(snakemake.log[0]))
    _limit_threads(snakemake.threads)
    settle_libraries(hub)
    try:
        inputs = read_inputs(snakemake.input, snakemake.params.get("contents") or {}, RESULTS)
        begin_artefacts(snakemake.output)
        yield
        inputs.check_unchanged()
    except GradsError as error:
        say(f"error: {error}")
        raise SystemExit(2) from None
    settings = {"rule": snakemake.rule} | json.loads(json.dumps(dict(snakemake.params.items()), default=str))
    for name in ("micro_batch", "token_budget"):
        if (asked := snakemake.resources.get(name)) is not None:
            settings[name] = asked
    write_manifests(snakemake.output, inputs.sha256, settings, started)


def settle_libraries(hub: bool = False) -> None:
    """Keep Hugging Face libraries off the network (unless `hub`), their bars and warnings off the screen.

    Call it before importing them. Memory that is freed is kept for what comes next, and what torch compiles is kept in
    the user's cache, for later processes. On a GPU, cuBLAS is asked for sums that are the same each time.
    """
    _keep_freed_memory()
    os.environ.update(TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "grads" / "inductor"))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if not hub:
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    for library in ("transformers", "peft"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=library)


def _keep_freed_memory() -> None:
    """Let glibc keep large blocks that are freed; with another C library nothing happens.

    It gives them back to the kernel at once, which hands them out again page by page, zeroed: on a CPU that takes a
    tenth of a training or probe pass, whose tensors come and go by the thousand.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None)
    if allocator is not None:
        allocator(_M_MMAP_MAX, 0)
        allocator(_M_TRIM_THRESHOLD, 2**31 - 1)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies (Linux; elsewhere nothing happens).

    Without it, `kill -9` of Snakemake leaves jobs that keep writing into results.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _copy_output(log: Path) -> None:
    """Send standard output and error to where they went and to `log`, for this process and what it starts."""
    log.parent.mkdir(parents=True, exist_ok=True)
    tee = subprocess.Popen(["tee", "-i", str(log)], stdin=subprocess.PIPE, stdout=sys.stderr.fileno())
    sys.stdout.flush()
    sys.stderr.flush()
    assert tee.stdin is not None
    os.dup2(tee.stdin.fileno(), 1)
    os.dup2(tee.stdin.fileno(), 2)
    tee.stdin.close()


def _limit_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(threads)
