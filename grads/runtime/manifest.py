"""Manifests: what made an artefact."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from grads.runtime.files import read_json, sha256_file, write_json
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


def write_manifests(
    outputs: Iterable[Path | str], inputs: Iterable[Path | str], settings: Mapping[str, Any], started: float
) -> None:
    """Write what made some artefacts: one manifest in each of their folders, named after the first artefact there.

    Args:
        outputs: the files and folders that one job made.
        inputs: the files and folders that it read; all are recorded with the SHA-256 of their content.
        settings: all that shaped the result.
        started: `time.time()` at the start of the work.
    """
    artefacts = [Path(output) for output in outputs]
    manifest = {
        "outputs": {str(path): content_sha256(path) for path in artefacts},
        "inputs": {str(path): known_sha256(Path(path)) for path in inputs},
        "settings": settings,
        "seconds": round(time.time() - started, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **environment(),
    }
    first = {path.parent: path for path in reversed(artefacts)}
    for path in first.values():
        write_json(_manifest_path(path), manifest)


def _manifest_path(artefact: Path) -> Path:
    # A dot in a folder's name, as in that of a model, opens no suffix.
    name = artefact.name if artefact.is_dir() else artefact.stem
    return artefact.with_name(f"{name}.manifest.json")


def known_sha256(path: Path) -> str:
    """Return the hash from the artefact's own manifest: a model of 30 GB is not read again by every job."""
    manifest = _manifest_path(path)
    known = read_json(manifest)["outputs"] if manifest.is_file() else {}
    return known.get(str(path)) or content_sha256(path)


def content_sha256(path: Path) -> str:
    """Return the hash of a file, or of a folder's files with their names."""
    if path.is_file():
        return sha256_file(path)
    total = hashlib.sha256()
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        total.update(f"{file.relative_to(path)} {sha256_file(file)}\n".encode())
    return total.hexdigest()


def environment() -> dict[str, Any]:
    """Return the code commit, machine and library versions of this process."""
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
