import ast
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmarks_keep_the_rules_of_the_package(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= 300
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False) or ""
            assert node.end_lineno - node.lineno + 1 - docstring.count("\n") <= 40, node.name


@pytest.mark.parametrize("name", ["protocol", "bergson_worker"])
def test_what_runs_beside_bergson_needs_nothing_of_ours(name):
    text = (BENCHMARKS[0].parent / f"{name}.py").read_text(encoding="utf-8")
    assert "grads" not in {
        (node.module or "").split(".")[0] for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
    }
