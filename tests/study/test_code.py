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
    waiting = ["grads.probe.stage"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting.extend(code._read(module)[1])
    assert "grads.data.formatting" in reached
    assert not [module for module in reached if module.startswith(("grads.train", "grads.tables", "grads.evaluate"))]
