"""What `import grads` is: cheap, typed, and the same whatever else has been imported."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import grads

ROOT = Path(__file__).parents[1]
FUNCTIONS = ("probe", "select", "train", "evaluate", "compare", "methods", "load_signals")
HEAVY = {"torch", "transformers", "peft", "datasets", "pandas", "numpy", "scipy", "sklearn", "pydantic", "typer"}


def in_a_process(code: str) -> object:
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def test_importing_the_package_loads_nothing_else():
    code = "import sys, json, grads\n"
    code += "dir(grads), grads.__version__\n"
    code += "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    assert not HEAVY & set(in_a_process(code))


def test_naming_the_functions_loads_nothing_heavy():
    code = f"import sys, json, grads\n[getattr(grads, name) for name in {FUNCTIONS}]\n"
    code += "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    assert not (HEAVY - {"pydantic"}) & set(in_a_process(code))


def test_no_submodule_has_a_name_of_the_interface():
    modules = {module.name for module in pkgutil.iter_modules(grads.__path__)}
    assert not modules & set(grads.__all__)


def test_every_name_is_there_and_nothing_else():
    for name in grads.__all__:
        assert getattr(grads, name) is not None
    assert set(grads.__all__) <= set(dir(grads))
    with pytest.raises(AttributeError, match="no attribute 'selct'"):
        _ = grads.selct


@pytest.mark.slow
@pytest.mark.parametrize("named", ["before", "after"])
def test_every_name_stays_what_it_is_after_every_submodule_was_imported(named):
    """A module of a name's own name would take its place as soon as anybody imports it."""
    code = "import importlib, json, pkgutil, grads\n"
    code += "[getattr(grads, name) for name in grads.__all__]\n" if named == "before" else ""
    code += "for module in pkgutil.walk_packages(grads.__path__, 'grads.'):\n"
    code += "    importlib.import_module(module.name)\n"
    code += "found = {name: getattr(importlib.import_module(place), name) for name, place in grads._MODULES.items()}\n"
    code += "print(json.dumps([name for name in found if getattr(grads, name) is not found[name]]))"
    assert in_a_process(code) == []


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "grads" / "py.typed").is_file()
    assert '"py.typed"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
