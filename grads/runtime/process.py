"""The life of a job's process: what it may use, what is written of it, and the sentences that it ends with."""

import contextlib
import ctypes
import json
import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.manifest import begin_artefacts, read_inputs, write_manifests
from grads.runtime.places import place_sentence, temporary_folder
from grads.runtime.progress import say_error
from grads.runtime.supervisor import die_with_parent, supervise

__all__ = ["die_with_parent", "job", "settle_libraries"]

# Where every file that a job reads was made by another one.
RESULTS = Path("results")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


@contextlib.contextmanager
def job(snakemake: Any, hub: bool = False) -> Iterator[None]:
    """Run the body as a job of the workflow.

    It runs in a process of its own, which a small parent watches (see `grads.runtime.supervisor`): what it prints is
    copied to the job's log, and whatever ends it is said there. Numeric libraries are limited to its threads (so call
    it before importing them) and Hugging Face libraries kept off the network, unless it is there to fetch from the
    `hub`, and their bars off the log. A `GradsError`, a full disk and files that are removed during the run become a
    sentence and exit status 2. What it reads is checked against what its makers recorded, and files from outside
    against the parameter `contents`: their SHA-256 when the job was planned. What is finished gets its manifest.
    """
    started = time.time()
    die_with_parent()
    outputs = [Path(output) for output in snakemake.output]
    with _sentences(outputs, []):
        supervise(Path(snakemake.log[0]), outputs, snakemake.rule)
    _limit_threads(snakemake.threads)
    settle_libraries(hub)
    with _sentences(outputs, [Path(path) for path in snakemake.input if Path(path).exists()]):
        inputs = read_inputs(snakemake.input, snakemake.params.get("contents") or {}, RESULTS)
        begin_artefacts(snakemake.output)
        yield
        inputs.check_unchanged()
    settings = {"rule": snakemake.rule} | json.loads(json.dumps(dict(snakemake.params.items()), default=str))
    for name in ("micro_batch", "token_budget"):
        if (asked := snakemake.resources.get(name)) is not None:
            settings[name] = asked
    with _sentences(outputs, []):
        write_manifests(snakemake.output, inputs.sha256, settings, started)


@contextlib.contextmanager
def _sentences(outputs: list[Path], inputs: list[Path]) -> Iterator[None]:
    """Turn what the user can fix into its sentence and exit status 2; any other exception is a bug and stays.

    Args:
        outputs: what the block writes.
        inputs: what it reads, all of it there at the start.
    """
    try:
        yield
        _check_still_there(inputs)
        return
    except GradsError as error:
        sentence: str | None = _removed(inputs) or str(error)
    except KeyboardInterrupt:
        say_error("interrupted: the same command carries on")
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        sentence = _removed(inputs) or place_sentence(error, _written_to(outputs))
        if sentence is None:
            raise
    say_error(sentence)
    raise SystemExit(2)


def _written_to(outputs: list[Path]) -> list[Path]:
    """Return the folders that a job writes to: those of its outputs, and the one for temporary files."""
    return list(dict.fromkeys([*(output.parent for output in outputs), temporary_folder()]))


def _removed(inputs: list[Path]) -> str | None:
    """Return a sentence about inputs that somebody has removed; nothing where all are there."""
    gone = next((path for path in inputs if not path.exists()), None)
    if gone is None:
        return None
    return f"{gone} was removed while this job worked with it: start the same command again"


def _check_still_there(inputs: list[Path]) -> None:
    if sentence := _removed(inputs):
        raise GradsError(sentence)


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


def _limit_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(threads)
