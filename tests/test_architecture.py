"""The package's shape: imports run one way, planning stays light, and everything public is documented."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import PAGE, page

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "grads").rglob("*.py"))
    if path.name != "__init__.py"
}
# What each part may import besides itself, from the bottom up. Stages never import each other: they meet in files.
CONFIG = {"runtime", "config"}
STUDY = CONFIG | {"study"}
STAGE = STUDY | {"signals", "models", "data"}
ALLOWED = {
    "runtime": set(),
    "config": {"runtime"},
    "study": CONFIG,
    "data": STUDY,
    "models": STUDY | {"data"},
    "signals": STUDY | {"data"},
    "probing": STAGE,
    "selection": STAGE,
    "training": STAGE,
    "evaluation": STAGE,
    "report": STAGE,
}
# Parts that may import everything: the command line, the Python interface, and what knows a whole study.
FRONT = {"api", "cli", "graph"}
HEAVY = {"torch", "transformers", "peft", "datasets", "lm_eval", "pandas", "numpy", "scipy", "sklearn", "matplotlib"}
# What is imported while the workflow is planned, or by `--help`.
LIGHT = [module for module in MODULES if module.split(".")[1] in {"config", "study", "runtime", "graph"}]
LIGHT += ["grads.selection.registry", "grads.selection.needs", "grads.selection.contract", "grads.training.needs"]
LIGHT += [f"grads.models.{name}" for name in ("size", "shape", "flops", "hardware", "footprint", "speed")]
LIGHT += [f"grads.signals.{name}" for name in ("names", "columns", "measures.contract", "measures.registry")]
LIGHT += ["grads.models.known_shapes", "grads.data.batches", "grads.data.passes", "grads.evaluation.requests"]
LIGHT += ["grads.training.strategies.registry", "grads.training.strategies.contract"]
LIGHT += ["grads.evaluation.metrics.registry", "grads.evaluation.metrics.contract"]
LIGHT += ["grads.report.registry", "grads.report.contract", "grads.report.captions", "grads.report.files"]
# What registries import when they are asked what there is.
DECLARING = ("grads.selection.methods.", "grads.training.strategies.", "grads.report.tables.", "grads.report.figures.")
DECLARING += ("grads.data.layouts.", "grads.signals.measures.", "grads.data.kinds.", "grads.models.kinds.")
LIGHT += [module for module in MODULES if module.startswith(DECLARING)]
# What metrics declare is read by tables, as what methods declare is read by the workflow: no stage stands behind it.
DECLARED = {("grads.report.metrics", "grads.evaluation.metrics.registry")}


def imports(path):
    """Return the modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {module for module in found if module.split(".")[0] == "grads"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    part = module.split(".")[1]
    if part in FRONT:
        return
    for imported in imports(MODULES[module]) - {"grads"}:
        other = imported.split(".")[1]
        declared = (module, imported) in DECLARED
        assert declared or other == part or other in ALLOWED[part], f"{module} imports {imported}"


def test_no_module_imports_itself_in_a_circle():
    graph = {module: imports(path) & set(MODULES) for module, path in MODULES.items()}
    done: set[str] = set()
    while ready := {module for module in graph if module not in done and graph[module] - {module} <= done}:
        done |= ready
    assert not set(graph) - done


@pytest.mark.parametrize("module", LIGHT)
def test_what_is_imported_while_planning_is_light(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
    assert not {name.split(".")[0] for name in top} & HEAVY


def test_planning_loads_nothing_heavy():
    code = f"import sys, importlib\nfor name in {LIGHT}: importlib.import_module(name)\n"
    code += f"print(sorted({HEAVY} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_selecting_from_signals_loads_no_model_library():
    """Most of a selection's time would be spent on it."""
    code = "import sys, grads.selection.run, grads.signals.store\n"
    code += "print(sorted({'torch', 'transformers', 'peft', 'lm_eval'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_module_and_public_function_says_what_it_is():
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{module} has no docstring"
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                if "overload" in map(ast.unparse, node.decorator_list):
                    continue  # The function that follows says it for all of them.
                assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


def test_the_picture_of_packages_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"
