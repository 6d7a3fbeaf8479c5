import ast

import pytest

from grads.study import code


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a small package called `grads` and read code versions from it."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / "grads" / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        code._read.cache_clear()
        return code.code_version("grads.stage")

    monkeypatch.setattr(code, "PACKAGE", tmp_path / "grads")
    write(
        stage="from grads.helper import f\nfrom grads.runtime.files import g\n",
        helper="def f(x):\n    return x + 1\n",
        runtime__files="def g():\n    return 1\n",
    )
    yield write
    code._read.cache_clear()


def test_comments_docstrings_and_layout_do_not_count(package):
    before = package()
    assert (
        package(helper='"""Helps."""\n\n\ndef f(x):\n    """Add one."""\n    # one more\n    return (x\n        + 1)\n')
        == before
    )


def test_the_code_of_an_imported_module_counts(package):
    assert package(helper="def f(x):\n    return x + 2\n") != package(helper="def f(x):\n    return x + 1\n")


def test_imports_are_followed_at_any_depth_and_inside_functions(package):
    package(helper="def f(x):\n    from grads import deep\n    return deep.k\n", deep="k = 1\n")
    assert package(deep="k = 1\n") != package(deep="k = 2\n")


def test_the_runtime_does_not_count(package):
    before = package()
    assert package(runtime__files="def g():\n    return 2\n") == before


def test_the_real_probe_does_not_depend_on_training_or_tables():
    reached = set()
    waiting = ["grads.probing.run"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting.extend(code._read(module)[1])
    assert "grads.data.records.formatting" in reached
    assert not [
        module for module in reached if module.startswith(("grads.training", "grads.report", "grads.evaluation"))
    ]


@pytest.mark.parametrize(
    "statement",
    ["from grads.helper import f", "from grads import helper", "import grads.helper", "import grads.helper as h"],
)
def test_an_import_counts_however_it_is_written(package, statement):
    before = package(stage=f"{statement}\n", helper="def f(x):\n    return x + 1\n")
    assert package(helper="def f(x):\n    return x + 2\n") != before


def test_the_package_has_no_relative_import_which_a_code_version_would_not_follow():
    for path in code.PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.ImportFrom) or node.level == 0, f"{path}:{node.lineno}"


def test_the_code_of_a_package_itself_counts(package):
    """It runs when something is imported from it."""
    package(stage="from grads.part import helper\n", part__helper="m = 1\n")
    versions = []
    for text in ("k = 1\n", "k = 2\n", "k = 1  # as before\n"):
        (code.PACKAGE / "part" / "__init__.py").write_text(text)
        versions.append(package())
    assert versions[0] == versions[2] != versions[1]
    assert package(part__helper="m = 2\n") != versions[2]


def test_a_circle_of_imports_ends_and_counts_whole(package):
    before = package(stage="import grads.one\n", one="import grads.two\n", two="import grads.one\nk = 1\n")
    assert package(two="import grads.one\nk = 2\n") != before


def test_the_command_line_does_not_count(package):
    stage = "from grads.helper import f\nfrom grads.cli.main import main\nfrom grads.cli.files import select\n"
    before = package(stage=stage, cli="def main():\n    pass\n", commands__own="def select():\n    pass\n")
    assert package(cli="def main():\n    return 1\n", commands__own="def select():\n    return 1\n") == before


def test_a_function_of_a_docstring_alone_is_still_a_function(package):
    before = package(helper='def f(x):\n    """Say."""\n')
    assert package(helper='class f:\n    """Say."""\n') != before
    assert package(helper='def f(x):\n    """Say something else."""\n') == before
    assert package(helper="def f(x):\n    pass\n") == before


def test_a_text_that_is_no_docstring_counts(package):
    before = package(helper='def f(x):\n    y = "one"\n    return y\n')
    assert package(helper='def f(x):\n    y = "two"\n    return y\n') != before


def test_a_version_covers_all_modules_named_in_any_order(package):
    package()
    both = code.code_version("grads.stage", "grads.helper")
    assert both == code.code_version("grads.helper", "grads.stage") == code.code_version("grads.stage")
    assert len(both) == 12
    assert code.code_version("grads.helper") != both
    assert code.code_version("grads.runtime.files") == code.code_version()


def test_a_class_counts_by_itself_and_neither_its_comments_nor_its_imports_do(package):
    package()
    sources = (
        "class A:\n    def run(self):\n        from grads import helper\n        f(1)\n",
        'class A:\n    """One."""\n    def run(self):\n        from grads import helper\n        # 1\n        f( 1 )\n',
        "class A:\n    def run(self):\n        f(2)\n",
    )
    versions = [code.code_version("grads.runtime.files", classes=[source]) for source in sources]
    assert versions[0] == versions[1] != versions[2]
    assert code.code_version("grads.runtime.files") not in versions
    package(helper="def f(x):\n    return x + 2\n")
    assert (
        versions[0] == code.code_version(classes=sources[:1]) != code.code_version("grads.helper", classes=sources[:1])
    )
