"""What libraries find in a job: how many threads they may use, no network, no bars, and memory that is kept."""

import ctypes
import os
import sys
import warnings
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


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


def limit_threads(threads: int) -> None:
    """Let numeric libraries compute with so many threads, those that are loaded and those that will be."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(threads)
    if "torch" in sys.modules:
        import threadpoolctl
        import torch

        torch.set_num_threads(threads)
        threadpoolctl.threadpool_limits(threads)
