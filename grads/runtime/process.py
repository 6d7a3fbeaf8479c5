"""The life of a job's process: it dies with its parent, keeps a log, and speaks in sentences."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from grads.runtime.errors import GradsError
from grads.runtime.progress import say

_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def job(log: Path | str, threads: int = 1) -> Iterator[None]:
    """Run the body as a job of the workflow.

    It asks to die with its parent, copies what it prints to `log`, limits numeric libraries to `threads` threads (so
    call it before importing them), keeps Hugging Face libraries off the network and their bars off the log, and turns
    a `GradsError` into its sentence and exit status 2.
    """
    die_with_parent()
    _copy_output(Path(log))
    _limit_threads(threads)
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    try:
        yield
    except GradsError as error:
        say(f"error: {error}")
        raise SystemExit(2) from None


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
