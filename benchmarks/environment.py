"""bergson's own virtual environment, made from pinned versions beside the benchmarks; git ignores it."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from grads.runtime.errors import GradsError
from grads.runtime.progress import say

REQUIREMENTS = Path(__file__).with_name("bergson-requirements.txt")
NAMED = ("bergson", "torch", "transformers")
FOLDER = Path(__file__).with_name(".venv")


def bergson_python() -> Path:
    """Return the interpreter of the environment, which is made anew where the requirements have changed.

    Raises:
        GradsError: the packages cannot be installed.
    """
    python, ready = FOLDER / "bin" / "python", FOLDER / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return python
    say(f"bergson: making its environment in {FOLDER}")
    shutil.rmtree(FOLDER, ignore_errors=True)
    venv.create(FOLDER, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--progress-bar", "off", "--no-deps", "--requirement"]
    if subprocess.run([*command, str(REQUIREMENTS)], stdout=sys.stderr, check=False).returncode:
        raise GradsError(f"pip could not install {REQUIREMENTS}: see above, or leave bergson out with --skip bergson")
    ready.write_text(wanted, encoding="utf-8")
    return python


def bergson_versions(python: Path) -> dict[str, str]:
    """Return the versions of what counts in that environment."""
    code = f"import importlib.metadata\nfor name in {NAMED}: print(importlib.metadata.version(name))"
    lines = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(NAMED, lines, strict=True))
