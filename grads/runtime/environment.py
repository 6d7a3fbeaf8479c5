"""What a process runs in: the code's commit, the machine, and the versions of libraries and plugins."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from grads.runtime.plugins import plugin_versions
from grads.runtime.processor import instruction_set

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "lm_eval",
    "sacrebleu",
    "nltk",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "faiss-cpu",
    "snakemake",
)


def environment() -> dict[str, Any]:
    """Return the code commit, the machine, and the versions of libraries and plugins of this process."""
    return {
        "git": _git(),
        "host": platform.node(),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "instructions": instruction_set(),
            "python": platform.python_version(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "device": _device(),
        },
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
        "plugins": plugin_versions(),
    }


def _git() -> str:
    folder = Path(__file__).resolve().parent
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> str:
    """Return the device that this process used; a process that never imported torch used the CPU."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else "cpu"
