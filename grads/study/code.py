"""Code versions: a hash of the modules behind a stage, which re-runs it when they change and not when comments do."""

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
# They carry a run, they do not shape its result.
EXEMPT = ("grads.runtime", "grads.cli")
# Registries all of whose files count: which of them reads a row is not known before it is read. Of other registries,
# whoever asks for a version names the modules that are used.
WHOLE = {"grads.data.layouts.registry": "grads.data.layouts"}


def code_version(*modules: str, script: Path | str | None = None) -> str:
    """Return 12 hexadecimal digits that name the code of the given modules and of all `grads` modules they import.

    Comments, docstrings and layout do not count. `grads.runtime` and the command line are left out. A script counts by
    itself: what it imports does only as far as the modules say.
    """
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in reached or module.startswith(EXEMPT):
            continue
        reached.add(module)
        waiting.extend(_read(module)[1])
    versions = [f"{module} {_read(module)[0]}" for module in sorted(reached)]
    if script is not None:
        versions.append(_script(Path(script)))
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:12]


@functools.cache
def _read(module: str) -> tuple[str, frozenset[str]]:
    """Return a hash of the module's statements and the `grads` modules that it imports, at any depth."""
    tree = ast.parse(_path(module).read_text(encoding="utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
            imported.update(f"{node.module}.{name.name}" for name in node.names)
    if module in WHOLE:
        imported.update(f"{WHOLE[module]}.{path.stem}" for path in _path(WHOLE[module]).parent.glob("*.py"))
    ours = {name for name in imported if name.startswith("grads.") and _path(name).is_file()}
    return _statements(tree), frozenset(ours)


@functools.cache
def _script(path: Path) -> str:
    return _statements(ast.parse(path.read_text(encoding="utf-8")))


def _statements(tree: ast.Module) -> str:
    """Return a hash of the statements of some code, docstrings taken out."""
    for node in ast.walk(tree):
        _remove_docstring(node)
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _remove_docstring(node: ast.AST) -> None:
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
        node.body = node.body[1:] or [ast.Pass()]


def _path(module: str) -> Path:
    base = PACKAGE.parent.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
