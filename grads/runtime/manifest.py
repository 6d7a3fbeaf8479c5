"""Manifests: what made an artefact."""

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grads.runtime.files import read_json, sha256_file, write_json

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "lm_eval", "sacrebleu", "nltk", "numpy", "pandas", "snakemake")


def write_manifest(
    artefact: Path | str, settings: Mapping[str, Any], inputs: Mapping[str, Path | str], started: float
) -> None:
    """Write what made `artefact`, beside it: manifest.json in a folder, <name>.manifest.json next to a file.

    Args:
        artefact: the file or folder that was made.
        settings: all that shaped the result.
        inputs: the files and folders that were read; each is recorded with the SHA-256 of its content.
        started: `time.time()` at the start of the work.
    """
    artefact = Path(artefact)
    manifest = {
        "artefact": str(artefact),
        "sha256": content_sha256(artefact),
        "settings": dict(settings),
        "inputs": {name: {"path": str(path), "sha256": _known_sha256(Path(path))} for name, path in inputs.items()},
        "seconds": round(time.time() - started, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **environment(),
    }
    write_json(_manifest_path(artefact), manifest)


def _manifest_path(artefact: Path) -> Path:
    return artefact / "manifest.json" if artefact.is_dir() else artefact.with_name(artefact.stem + ".manifest.json")


def _known_sha256(path: Path) -> str:
    """Return the hash from the artefact's own manifest: a model of 30 GB is not read again by every job."""
    manifest = _manifest_path(path)
    return read_json(manifest)["sha256"] if manifest.is_file() else content_sha256(path)


def content_sha256(path: Path) -> str:
    """Return the hash of a file, or of a folder's files with their names (manifests left out: they hold dates)."""
    if path.is_file():
        return sha256_file(path)
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and not p.name.endswith("manifest.json")):
        total.update(f"{file.relative_to(path)} {sha256_file(file)}\n".encode())
    return total.hexdigest()


def environment() -> dict[str, Any]:
    """Return the code commit, machine and library versions of this process."""
    return {
        "git": _git(),
        "host": platform.node(),
        "machine": {"system": platform.platform(), "processor": _processor(), "python": platform.python_version()},
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
        "device": _device(),
    }


def _git() -> str:
    folder = Path(__file__).resolve().parent
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--match="]
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
