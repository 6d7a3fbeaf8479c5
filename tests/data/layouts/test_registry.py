"""Layouts are found by their being there: what messages say of them, and a new one in one file."""

from pathlib import Path

import pytest

import grads.data.layouts
from grads.data.layouts.registry import REGISTRY, any_of_the_columns, layouts, own_layouts
from grads.data.records.layouts import to_record
from grads.data.records.record import make_record
from grads.runtime.errors import GradsError
from grads.study.code import code_version

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs/data.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.partition("`our_grads/query.py`:\n\n```python\n")[2].partition("```")[0]


@pytest.fixture
def added(monkeypatch, tmp_path):
    """The layout that docs/extending.md has as an example, a file among the others."""
    (tmp_path / "query.py").write_text(EXAMPLE)
    monkeypatch.setattr(grads.data.layouts, "__path__", [*grads.data.layouts.__path__, str(tmp_path)])
    monkeypatch.setattr(REGISTRY, "found", type(REGISTRY).found.func(REGISTRY))


def test_layouts_stand_in_the_order_of_messages():
    assert [layout.name for layout in layouts()] == [
        "instruction",
        "prompt",
        "messages",
        "conversations",
        "preference",
    ]
    assert own_layouts() == layouts()
    sentence = "'instruction' and 'output', 'prompt' and 'completion', 'messages', or 'conversations'"
    assert any_of_the_columns(layouts(), "'") == sentence
    with pytest.raises(GradsError, match=f"'messages' is missing.*give each record {sentence}, or name its columns"):
        to_record({"text": "Q"}, "here", {"messages": "messages"})


@pytest.mark.parametrize("layout", own_layouts(), ids=lambda layout: layout.name)
def test_the_page_on_data_has_every_layout_with_its_parts(layout):
    rows = [line for line in DOCS.splitlines() if line.startswith(f"| `{layout.needed[0]}`")]
    assert rows
    assert all(f"`{part}`" in rows[0] for part in layout.needed)


@pytest.mark.usefixtures("added")
def test_a_layout_is_one_file():
    row = {"query": "And now?", "response": "Snow.", "history": [["Then?", "Rain."]]}
    chat = [("user", "Then?"), ("assistant", "Rain."), ("user", "And now?"), ("assistant", "Snow.")]
    same = to_record({"messages": [{"role": role, "content": text} for role, text in chat]}, "here")
    assert to_record(row, "here") == same
    assert to_record({"instruction": "Q", "output": "A"}, "here") == make_record("Q", "", "A")
    with pytest.raises(GradsError, match="the row has 'instruction, output' and 'query, response': say"):
        to_record(row | {"instruction": "Q", "output": "A"}, "here")
    with pytest.raises(GradsError, match="'conversations', or 'query' and 'response', or name"):
        to_record({"text": "Q"}, "here", {})
    assert "query" not in [layout.name for layout in own_layouts() if layout.name == "prompt"]


def test_data_are_prepared_again_when_a_layout_changes(monkeypatch, tmp_path):
    from grads.study import code

    package = tmp_path / "grads"
    (package / "data/layouts").mkdir(parents=True)
    (package / "data/layouts/registry.py").write_text("R = 1\n")
    (package / "stage.py").write_text("from grads.data.layouts.registry import R\n")
    monkeypatch.setattr(code, "PACKAGE", package)
    versions = []
    for text in ("a = 1\n", "a = 2\n", "a = 2  # again\n"):
        (package / "data/layouts/one.py").write_text(text)
        code._read.cache_clear()
        versions.append(code_version("grads.stage"))
    code._read.cache_clear()
    assert versions[0] != versions[1] == versions[2]
