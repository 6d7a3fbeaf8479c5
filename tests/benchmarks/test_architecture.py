import ast
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_says_what_it_measures(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["protocol", "bergson_worker"])
def test_what_runs_next_to_bergson_needs_nothing_of_ours(name):
    text = (BENCHMARKS[0].parent / f"{name}.py").read_text(encoding="utf-8")
    assert "grads" not in {
        (node.module or "").split(".")[0] for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
    }
