"""Peers' own virtual environments, made from pinned versions next to the benchmarks; git ignores them."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from grads.runtime.errors import GradsError
from grads.runtime.progress import say

NAMED = ("bergson", "torch", "transformers")
HERE = Path(__file__).parent


def own_python(peer: str) -> Path:
    """Return the interpreter of a peer's environment, which is made again where its requirements have changed.

    Raises:
        GradsError: the packages cannot be installed.
    """
    folder = HERE / f".venv-{peer}"
    requirements = HERE / f"{peer}-requirements.txt"
    python = folder / "bin" / "python"
    ready = folder / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return python
    say(f"{peer}: making its environment in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--progress-bar", "off", "--no-deps", "--requirement"]
    if subprocess.run([*command, str(requirements)], stdout=sys.stderr, check=False).returncode:
        raise GradsError(f"pip could not install {requirements}: see above, or leave it out")
    ready.write_text(wanted, encoding="utf-8")
    return python


def bergson_versions(python: Path) -> dict[str, str]:
    """Return the versions of what counts in that environment."""
    code = f"import importlib.metadata\nfor name in {NAMED}: print(importlib.metadata.version(name))"
    lines = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(NAMED, lines, strict=True))
