"""The methods' page against the registry."""

import re
from pathlib import Path
from typing import Any

import pytest

from grads.runtime.errors import GradsError
from grads.selection.contract import Needs
from grads.selection.documentation import BEGIN, END, PAGE, README, cost, main, methods_page, methods_table
from grads.selection.registry import methods, module_of, parse_parameters

ROOT = Path(__file__).parents[2]


def test_the_shipped_page_is_that_of_the_registry() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == methods_page(), "run `make docs`"


def test_main_writes_it_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / README).write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    main()
    assert (tmp_path / PAGE).is_file()
    assert (tmp_path / README).read_text(encoding="utf-8") == f"before\n{BEGIN}{methods_table()}{END}after\n"


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
    assert "signals `base`, signals `warm` | E + F + B | listed, auto |" in rows["grads"]
    assert "arm `grads`" in rows["random_length"]
    assert rows["untuned"].endswith("| - | - | always 0 |")
    assert rows["full"].endswith("| - | - | always 1 |")
    assert rows["subset"].endswith("| a file | - | listed, auto; may keep fewer |")
    assert rows["metadata"].endswith("| texts `train` | - | listed |")
    for name, row in rows.items():
        assert ("‡" in row) == methods()[name].sees_target(methods()[name].shown)
    assert "sets the optimiser steps, for which all records are kept" in rows["full_steps"]


@pytest.mark.parametrize(
    ("stores", "passes"),
    [
        ({}, "-"),
        ({"base": {"losses"}}, "F"),
        ({"base": {"losses", "unconditional"}}, "F + F(answers)"),
        ({"base": {"adapter", "losses"}}, "B"),
        ({"warm": {"adam_features"}, "warm-validation": {"sgd_features"}}, "E + B + B(validation)"),
        ({"base": {"hidden"}, "base-anchor": {"hidden"}}, "F + F(anchor)"),
        ({"during": {"gradients"}, "encoder-minilm": {"sentences"}}, "during + F(encoder)"),
        ({"trajectory": {"losses"}}, "T"),
        ({"warmup": {"adam_features"}, "warmup-validation": {"sgd_features"}}, "W"),
    ],
)
def test_costs_follow_from_the_needs(stores: dict[str, set[str]], passes: str) -> None:
    assert cost(Needs({name: frozenset(held) for name, held in stores.items()})) == passes


@pytest.mark.parametrize("name", [name for name in methods() if "control" not in methods()[name].source])
def test_a_section_says_what_is_certain_and_what_is_ours(name: str) -> None:
    section = methods_page().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert re.search(r"^Certain:", section, re.MULTILINE), "begin a paragraph of the docstring with 'Certain:'"
    assert re.search(r"^Ours:", section, re.MULTILINE), "begin a paragraph of the docstring with 'Ours:'"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("kcenter", {"space": "sgd_features"}),
        ("craig", {"encoder": "minilm"}),
        ("s2l", {"encoder": "minilm"}),
        ("rds_plus", {"subtasks": "source"}),
    ],
)
def test_what_the_page_says_cannot_be_asked_for_is_refused(name: str, given: dict[str, Any]) -> None:
    said = methods_page().partition("What cannot be asked for:")[2].partition("\n\n")[0]
    assert f"`{name}`" in said
    with pytest.raises(GradsError, match=f"method '{name}'"):
        parse_parameters(methods()[name], given)


def test_the_page_says_which_methods_have_which_notes() -> None:
    page = methods_page()
    for name, key in {
        "grads_density": "kept_at_half_bandwidth",
        "craig": "effective_records",
        "grad_match": "effective_records",
        "dsir": "mean_words_of_pool",
    }.items():
        assert f"`{key}`" in page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
