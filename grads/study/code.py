"""Code versions: a hash of the modules behind a stage, which re-runs it when they change and not when comments do.

They are followed through all modules of this package, and through those of others' packages that add to it
(`grads.runtime.plugins`): there as far as they came in the same distribution.
"""

import ast
import functools
import hashlib
import importlib.util
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from grads.runtime.plugins import companions, plugins

PACKAGE = Path(__file__).resolve().parent.parent
# They carry a run, they do not shape its result.
EXEMPT = ("grads.runtime", "grads.cli", "grads.api")


@dataclass(frozen=True)
class Together:
    """What a registry finds: the files of a package, and entry points of a group."""

    package: str
    group: str


# Registries all of whose files count: which of them reads a row is not known before it is read. Of other registries,
# whoever asks for a version names the modules that are used.
WHOLE = {"grads.data.layouts.registry": Together("grads.data.layouts", "grads.layouts")}


def code_version(*modules: str, classes: Iterable[str] = ()) -> str:
    """Return 12 hexadecimal digits that name the code of the given modules and of all modules they import.

    Modules of this package count, and of a plugin's distribution those that came with it. Comments, docstrings and
    layout do not count. `grads.runtime`, the command line and the Python interface are left out. Of modules that hold
    more than counts, the source of some `classes` is given instead: what they import does not count.
    """
    versions = [f"{module} {statements}" for module, statements in sorted(module_versions(*modules).items())]
    versions += [_class(source) for source in classes]
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:12]


def module_versions(*modules: str) -> dict[str, str]:
    """Return a hash of the statements of the given modules and of all modules they import, by module."""
    reached: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in reached or module.startswith(EXEMPT):
            continue
        reached[module], imported = _read(module)
        waiting.extend(imported)
    return reached


@functools.cache
def _read(module: str) -> tuple[str, frozenset[str]]:
    """Return a hash of the module's statements and the modules that it imports and that count, at any depth."""
    if not _is_ours(module):
        return _read_plugin(module)
    path = _path(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = _ours(_imported(tree, _package(module, path.name == "__init__.py")))
    if module in WHOLE:
        together = WHOLE[module]
        imported.update(f"{together.package}.{path.stem}" for path in _path(together.package).parent.glob("*.py"))
        imported.update(plugin.module for plugin in plugins(together.group))
    return _statements(tree), frozenset(imported)


def _read_plugin(module: str) -> tuple[str, frozenset[str]]:
    """Return the same of a module that came with a plugin; what is compiled counts byte by byte."""
    spec = _spec(module)
    if spec is None:  # Its registry refuses it, by name.
        return "missing", frozenset()
    ancestors = {module[:place] for place, sign in enumerate(module) if sign == "."}
    source = _source(spec)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.sha256(source).hexdigest(), frozenset(ancestors)
    imported = _imported(tree, _package(module, spec.submodule_search_locations is not None))
    known = companions(module.partition(".")[0])
    theirs = {name for name in imported if name.partition(".")[0] in known and _spec(name) is not None}
    return _statements(tree), frozenset(ancestors | theirs | _ours(imported))


def _source(spec: ModuleSpec) -> bytes:
    """Return what a module is made of: nothing of a folder without `__init__.py`."""
    get_source = getattr(spec.loader, "get_source", None)
    if get_source is not None and (text := get_source(spec.name)) is not None:
        return text.encode()
    return Path(spec.origin).read_bytes() if spec.origin and Path(spec.origin).is_file() else b""


@functools.cache
def _spec(module: str) -> ModuleSpec | None:
    """Return where a module is, without importing it or the packages above it; None where there is none."""
    above, _, _ = module.rpartition(".")
    if not above:
        return importlib.util.find_spec(module)
    spec = _spec(above)
    if spec is None or spec.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(module, list(spec.submodule_search_locations))


def _imported(tree: ast.Module, package: str) -> set[str]:
    """Return all names that may be modules which code in a package imports, at any depth."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            imported.add(base)
            imported.update(f"{base}.{name.name}" for name in node.names)
    return imported


def _package(module: str, is_package: bool) -> str:
    """Return the package that relative imports in a module start from."""
    return module if is_package else module.rpartition(".")[0]


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == "grads"


def _ours(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.startswith("grads.") and _path(name).is_file()}


@functools.cache
def _class(source: str) -> str:
    return _statements(ast.parse(textwrap.dedent(source)))


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
