"""The methods' page against the registry."""

from pathlib import Path

import pytest

from grads.methods.page import PAGE, main, methods_page
from grads.methods.registry import methods, module_of

ROOT = Path(__file__).parents[2]


def test_the_shipped_page_is_that_of_the_registry() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == methods_page(), "run `make docs`"


def test_main_writes_it_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main()
    assert (tmp_path / PAGE).is_file()


@pytest.mark.parametrize("name", methods())
def test_a_section_says_what_the_method_declares(name: str) -> None:
    method, page = methods()[name], methods_page()
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert f"Source: {method.source}." in section
    assert f"](../{module_of(name).replace('.', '/')}.py)" in section
    assert (ROOT / f"{module_of(name).replace('.', '/')}.py").is_file()
    for key, field in method.parameters.model_fields.items():
        assert field.description, f"parameter {key} of {name} has no description"
        assert f"| `{key}` | " in section
    assert ("| parameter |" in section) == bool(method.parameters.model_fields)


def test_the_overview_says_what_is_read_and_at_which_ratios() -> None:
    rows = {line.split("`")[1]: line for line in methods_page().splitlines() if line.startswith("| [`")}
    assert list(rows) == list(methods())
    assert "signals `base`, signals `warm`" in rows["grads"]
    assert "arm `grads`" in rows["random_length"]
    assert rows["untuned"].endswith("| - | always 0 |")
    assert rows["full"].endswith("| - | always 1 |")
    assert "all records are kept" in rows["full_steps"]
