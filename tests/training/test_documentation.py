"""The strategies' page against the registry."""

from pathlib import Path

import pytest

from grads.training.documentation import PAGE, main, strategies_page
from grads.training.strategies.registry import module_of, strategies

ROOT = Path(__file__).parents[2]


def test_the_shipped_page_is_that_of_the_registry():
    assert (ROOT / PAGE).read_text(encoding="utf-8") == strategies_page(), "run `make docs`"


def test_main_writes_it_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main()
    assert (tmp_path / PAGE).is_file()


@pytest.mark.parametrize("name", strategies())
def test_a_section_says_what_the_strategy_declares(name):
    strategy = strategies()[name]
    section = strategies_page().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert f"Source: {strategy.source}." in section
    assert (ROOT / f"{module_of(name).replace('.', '/')}.py").is_file()
    for key, field in strategy.parameters.model_fields.items():
        assert field.description, f"parameter {key} of {name} has no description"
        assert f"| `{key}` | " in section


def test_the_overview_says_what_is_read():
    rows = {line.split("`")[1]: line for line in strategies_page().splitlines() if line.startswith("| [`")}
    assert list(rows) == list(strategies())
    assert rows["stm"].endswith("| signals `base` |")
    assert rows["replay"].endswith("| general records |")
    assert rows["weighted"].endswith("| the selection's weights |")
    assert rows["sft"].endswith("| - |")
