"""Records from rows: layouts, mappings, conversations, and one sentence about everything else."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.layouts import collect_records, each_once, read_records, rows_by_id, to_record
from grads.data.records import Record, Turn, make_record
from grads.data.rows import parse_rows, read_rows
from grads.runtime.errors import GradsError


def turn(role: str, content: str, **marks: Any) -> dict[str, Any]:
    return {"role": role, "content": content} | marks


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_reading_keeps_content_and_counts_the_rest(tmp_path: Path) -> None:
    whole = {"instruction": "Q", "input": "I", "output": " A\n", "source": "s", "group": "g", "id": "x", "score": 1}
    path = write_lines(
        tmp_path / "data.jsonl",
        whole,
        {"instruction": "Q", "output": "A"},
        "",
        {"instruction": "  ", "output": "A"},
        {"instruction": "Q", "output": ""},
        whole | {"source": "elsewhere"},
    )
    records, counts = read_records(path)
    assert records == [make_record("Q", "I", " A\n", "s", "g"), make_record("Q", "", "A")]
    assert counts == {"read": 5, "empty": 2, "duplicate": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"instruction": "Q"', r"data.jsonl:2: not JSON"),
        ('["Q", "A"]', r"data.jsonl:2: found a JSON list"),
        ('{"instruction": "Q"}', r"data.jsonl:2: 'output' is missing"),
        ('{"instructions": "Q", "output": "A"}', r"'instruction' is missing \(did you mean 'instructions'\?\)"),
        ('{"instruction": "Q", "output": 3}', r"data.jsonl:2: 'output' is a int"),
        ('{"instruction": "Q", "output": null}', r"data.jsonl:2: 'output' is missing"),
        ('{"instruction": "Q", "output": "A", "input": 3}', r"data.jsonl:2: 'input' is a int"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(GradsError, match=message):
        read_records(write_lines(tmp_path / "data.jsonl", {"instruction": "Q", "output": "A"}, line))


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"none.jsonl is not there"):
        read_records(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes('{"instruction": "é", "output": "A"}'.encode("latin-1"))
    with pytest.raises(GradsError, match=r"latin.jsonl:1: .*not UTF-8"):
        read_records(tmp_path / "latin.jsonl")


CHAT = [turn("user", "Q1"), turn("assistant", "A1"), turn("user", "Q2"), turn("assistant", "A2")]


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"instruction": "Q", "input": "", "output": "A"}, {}),
        ({"instruction": "Q", "input": None, "output": "A", "source": None}, {}),
        ({"prompt": "Q", "completion": "A", "input": "not of this layout"}, {}),
        ({"question": "Q", "answer": "A"}, {"instruction": "question", "output": "answer"}),
        ({"question": "Q", "answer": "A"}, {"prompt": "question", "completion": "answer"}),
        ({"question": "Q", "output": "A"}, {"instruction": "question"}),
        ({"messages": [turn("user", "Q"), turn("assistant", "A")]}, {}),
        ({"chat": [turn("user", "Q"), turn("assistant", "A", weight=None)]}, {"messages": "chat"}),
        ({"instruction": "x", "output": "y", "prompt": "Q", "completion": "A"}, {"prompt": "prompt"}),
    ],
)
def test_every_layout_makes_the_same_record(row: dict[str, Any], names: dict[str, str]) -> None:
    assert to_record(row, "here", names) == make_record("Q", "", "A")


def test_columns_go_where_the_mapping_says() -> None:
    row = {"q": "Q", "context": "I", "a": "A", "book": "S", "chapter": "G", "input": "another"}
    names = {"instruction": "q", "input": "context", "output": "a", "source": "book", "group": "chapter"}
    assert to_record(row, "here", names) == make_record("Q", "I", "A", "S", "G")


def test_a_conversation_keeps_its_turns() -> None:
    record = to_record({"messages": [turn("system", "S"), *CHAT], "source": "s"}, "here")
    earlier = [Turn("system", "S"), Turn("user", "Q1"), Turn("assistant", "A1")]
    assert record == make_record("Q2", "", "A2", "s", turns=earlier)


@pytest.mark.parametrize(
    ("loss_turns", "marks", "carries"),
    [
        ("last", {}, False),
        ("all", {}, True),
        ("last", {"weight": 1}, True),
        ("all", {"weight": 0}, False),
        ("all", {"weight": 0.0, "train": False}, False),
        ("last", {"train": True}, True),
        ("all", {"train": None}, True),
    ],
)
def test_which_turns_carry_loss(loss_turns: Any, marks: dict[str, Any], carries: bool) -> None:
    messages = [CHAT[0], CHAT[1] | marks, *CHAT[2:]]
    first, second = to_record({"messages": messages}, "here", {}, loss_turns).turns
    assert (first.loss, second.loss) == (False, carries)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"instruction": "Q", "output": "A", "messages": CHAT},
            r"'instruction, output' and 'messages': say in .*fields",
        ),
        ({"messages": []}, "roles of nobody"),
        ({"messages": CHAT[:3]}, "roles user, assistant, user"),
        ({"messages": [CHAT[0], turn("system", "S"), CHAT[1]]}, "roles user, system, assistant"),
        ({"messages": [turn("human", "Q"), turn("gpt", "A")]}, "roles human, gpt"),
        ({"messages": "Q"}, "'messages' is no list of objects"),
        ({"messages": [turn("user", "Q"), {"role": "assistant"}]}, "turn 2 of 'messages' has no text 'content'"),
        ({"messages": [CHAT[0], turn("assistant", "A", weight=0.5)]}, r"turn 2 has the loss marks \[0\.5\]"),
        ({"messages": [CHAT[0], turn("assistant", "A", weight=1, train=False)]}, r"loss marks \[1, False\]"),
        ({"messages": [CHAT[0], turn("assistant", "A", weight=0)]}, "the last turn carries no loss"),
        ({"instruction": "\ud800", "output": "A"}, "half of a surrogate pair"),
        ({}, "'instruction' is missing: give each record"),
    ],
)
def test_what_is_no_record_is_said(row: dict[str, Any], message: str) -> None:
    with pytest.raises(GradsError, match=f"here: .*{message}|here: {message}"):
        to_record(row, "here")


def test_a_mapping_to_nothing_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "data.jsonl", {"instruction": "Q", "output": "A", "context": "C"})
    with pytest.raises(GradsError, match=r"names 'contxt' for input, but no row has it: did you mean 'context'\?"):
        read_records(path, {"input": "contxt"})
    with pytest.raises(GradsError, match=r"data.jsonl:1: 'answer' is missing"):
        read_records(path, {"output": "answer"})
    rest = write_lines(
        tmp_path / "rest.jsonl", {"instruction": "Q", "output": "A"}, {"instruction": "R", "output": "B"}
    )
    assert len(read_records(rest, {"instruction": "instruction"})[0]) == 2


def test_a_blank_turn_makes_a_record_empty(tmp_path: Path) -> None:
    blank = [CHAT[0], turn("assistant", " \n"), *CHAT[2:]]
    path = write_lines(tmp_path / "a.jsonl", {"messages": blank}, {"messages": [turn("system", ""), *CHAT]})
    records, counts = read_records(path)
    assert [record.output for record in records] == ["A2"]
    assert counts == {"read": 2, "empty": 1, "duplicate": 0}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
ROLE = st.sampled_from(["system", "user", "assistant", "tool"]) | JSON
MESSAGE = st.fixed_dictionaries(
    {},
    optional={"role": ROLE, "content": st.text(max_size=5) | JSON, "weight": st.integers(0, 2) | JSON, "train": JSON},
)
VALUE = st.text(max_size=5) | JSON | st.lists(MESSAGE, max_size=4)
KEYS = ("instruction", "input", "output", "prompt", "completion", "messages", "source", "group", "id")
ROW = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUE))


def sentence(read: Callable[[], object]) -> str:
    """Return what a GradsError says, or nothing."""
    try:
        read()
    except GradsError as error:
        return str(error)
    return ""


@given(ROW | JSON, st.sampled_from(["last", "all"]))
def test_any_json_line_is_a_record_or_a_sentence(value: Any, loss_turns: Any) -> None:
    found: list[Record] = []

    def read() -> None:
        for place, row in parse_rows(io.BytesIO(json.dumps(value).encode()), "a.jsonl", "a.jsonl"):
            found.append(to_record(row, place, {}, loss_turns))

    said = sentence(read)
    assert bool(said) != bool(found)
    assert not said or said.startswith("a.jsonl:1")
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
@given(content=st.binary(max_size=40))
def test_any_bytes_are_rows_or_a_sentence(suffix: str, content: bytes) -> None:
    said = sentence(lambda: list(parse_rows(io.BytesIO(content), f"a{suffix}", "a")))
    assert not said or said.startswith("a")


def test_rows_are_found_by_the_id_of_their_record(tmp_path: Path) -> None:
    first = {"score": 1, "output": "A", "instruction": "Q", "id": "mine"}
    path = write_lines(tmp_path / "data.jsonl", first, "", {"instruction": "Q", "output": "A"}, first | {"input": "I"})
    found = rows_by_id(path)
    assert list(found) == [make_record("Q", "", "A").id, make_record("Q", "I", "A").id]
    number, row = found[make_record("Q", "", "A").id]
    assert (number, list(row)) == (1, list(first))
    assert found[make_record("Q", "I", "A").id][0] == 3


def test_further_right_answers_are_kept_and_are_no_content() -> None:
    row = {"instruction": "Q", "output": "A", "references": ["B", "C"]}
    record = to_record(row, "a.jsonl:1")
    assert record.references == ("B", "C")
    assert record.id == make_record("Q", "", "A").id
    renamed = {"instruction": "Q", "output": "A", "also": ["B", "C"]}
    assert to_record(renamed, "a.jsonl:1", {"references": "also"}) == record
    assert to_record(row | {"references": None}, "a.jsonl:1").references == ()


@pytest.mark.parametrize("found", ["B", [1], [""], {"B": "C"}])
def test_right_answers_that_are_no_list_of_texts_are_refused(found: Any) -> None:
    row = {"instruction": "Q", "output": "A", "references": found}
    with pytest.raises(GradsError, match=r"a\.jsonl:1: 'references' is no list of texts: write the further"):
        to_record(row, "a.jsonl:1")


def test_sources_and_groups_may_be_whole_numbers() -> None:
    row = {"instruction": "Q", "output": "A"}
    assert to_record(row | {"source": 7, "group": 0}, "here") == to_record(row | {"source": "7", "group": "0"}, "here")
    for wrong in (1.5, True, ["a"]):
        with pytest.raises(GradsError, match=r"here: 'group' is a .*: make it a text or a whole number"):
            to_record(row | {"group": wrong}, "here")


def test_an_empty_cell_has_no_references(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("instruction,output,references,group\nQ,A,,7\n", encoding="utf-8")
    assert read_records(tmp_path / "data.csv")[0] == [make_record("Q", "", "A", group="7")]


def test_a_repetition_that_connects_is_kept_for_splits(tmp_path: Path) -> None:
    row = {"instruction": "Q", "output": "A", "group": "one"}
    more = [row | {"source": "s"}, row | {"group": "two"}, row | {"references": ["B"]}, row]
    path = write_lines(tmp_path / "data.jsonl", row, {"instruction": "P", "output": "A"}, *more)
    records, counts = collect_records(read_rows(path))
    assert [(record.group, record.references) for record in records] == [
        ("one", ()), ("", ()), ("two", ()), ("one", ("B",)),
    ]  # fmt: skip
    assert counts == {"read": 6, "empty": 0, "duplicate": 2}
    once = [make_record("Q", "", "A", group="one"), make_record("P", "", "A")]
    assert each_once(records, counts) == read_records(path) == (once, counts | {"duplicate": 4})
