"""The picture of packages in docs/architecture.md, made from their imports: `python -m tests.architecture`."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- made by `make docs` -->\n", "<!-- end -->\n"


def package_of(module: str) -> str:
    """Return the package of a module, as `grads.<package>`."""
    return module.split(".")[1]


def imports_of(path: Path) -> set[str]:
    """Return the modules of this project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {module for module in found if module.startswith("grads.")}


def package_imports() -> dict[str, set[str]]:
    """Return the packages that each package imports."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "grads").rglob("*.py")):
        parts = path.relative_to(ROOT / "grads").parts
        if len(parts) > 1:
            package = found.setdefault(parts[0], set())
            package |= {package_of(module) for module in imports_of(path)} - {parts[0]}
    return found


def reduced(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the same without what follows from the rest: if a imports b and b imports c, a's import of c."""

    def reached(package: str) -> set[str]:
        return imports[package].union(*(reached(other) for other in imports[package]))

    return {
        package: {other for other in others if not any(other in reached(third) for third in others - {other})}
        for package, others in imports.items()
    }


def summary(package: str) -> str:
    """Return what a package says that it is."""
    tree = ast.parse((ROOT / "grads" / package / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").splitlines()[0]


def picture() -> str:
    """Return the generated part of the page."""
    imports = package_imports()
    lines = ["```mermaid", "graph TD"]
    for package, others in reduced(imports).items():
        lines += [f"    {package} --> {other}" for other in sorted(others)]
    lines += ["```", "", "| package | modules | what it is |", "| :-- | --: | :-- |"]
    for package in imports:
        modules = len(list((ROOT / "grads" / package).rglob("*.py")))
        lines.append(f"| `grads/{package}` | {modules} | {summary(package)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page with its generated part as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return before + BEGIN + picture() + END + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
