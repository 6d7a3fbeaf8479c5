"""Records from rows: layouts, mappings, conversations, and one sentence about everything else."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.config.section import RecordField
from grads.data.layouts.registry import layouts
from grads.data.records.layouts import COMMON, collect_records, each_once, read_records, rows_by_id, to_record
from grads.data.records.record import Record, Turn, make_record
from grads.data.records.rows import parse_rows, read_rows
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


def sharegpt(*turns: dict[str, Any]) -> list[dict[str, Any]]:
    speakers = {"user": "human", "assistant": "gpt", "system": "system"}
    return [{"from": speakers[turn["role"]], "value": turn["content"]} for turn in turns]


def parts(*turns: dict[str, Any]) -> list[dict[str, Any]]:
    return [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in turns]


CHOSEN = {"chosen": "chosen"}


def every_layout(system: str, pairs: list[tuple[str, str]]) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Return one conversation as a row of each layout, with the mapping that it needs."""
    turns = [turn(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
    opening = [turn("system", system)] if system else []
    *history, (question, answer) = pairs
    said = {"history": [list(pair) for pair in history], "system": system}
    asked = [*opening, *turns[:-1]]
    other = turn("assistant", "a worse one")
    rows: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"instruction": question, "input": "", "output": answer} | said, {}),
        ({"prompt": question, "completion": answer} | said, {}),
        ({"question": question, "answer": answer, "before": said["history"], "system_prompt": system},
         {"prompt": "question", "completion": "answer", "history": "before"}),
        ({"q": question, "a": answer, "before": said["history"], "told": system},
         {"instruction": "q", "output": "a", "history": "before", "system": "told"}),
        ({"messages": opening + turns}, {}),
        ({"messages": turns, "system": system}, {}),
        ({"messages": parts(*opening, *turns)}, {}),
        ({"conversations": sharegpt(*opening, *turns)}, {}),
        ({"conversations": sharegpt(*turns), "system": system}, {}),
        ({"conversations": opening + turns}, {}),
        ({"conversations": sharegpt(*opening, *turns)}, {"messages": "conversations"}),
        ({"dialogue": sharegpt(*turns), "told": system}, {"messages": "dialogue", "system": "told"}),
        ({"prompt": asked, "completion": turns[-1:]}, {}),
        ({"prompt": asked, "completion": answer}, {}),
        ({"prompt": asked, "chosen": turns[-1:], "rejected": [other]}, CHOSEN),
        ({"prompt": asked, "chosen": turns[-1:], "rejected": [other]}, {"completion": "chosen"}),
        ({"chosen": opening + turns, "rejected": [*asked, other]}, CHOSEN),
        ({"chosen": opening + turns, "rejected": [*asked, other]}, {"messages": "chosen"}),
        ({"good": opening + turns, "bad": [*asked, other]}, {"chosen": "good", "rejected": "bad"}),
        ({"instruction": question, "input": "", "chosen": answer, "rejected": "a worse one"} | said, CHOSEN),
        ({"instruction": question, "chosen": answer, "rejected": "a worse one"} | said, {"output": "chosen"}),
        ({"conversations": sharegpt(*asked), "chosen": sharegpt(turns[-1])[0], "rejected": sharegpt(other)[0]}, CHOSEN),
        ({"messages": opening + turns, "chosen": opening + turns, "rejected": [*asked, other]}, CHOSEN),
    ]  # fmt: skip
    if len(pairs) == 1:
        rows += [
            ({"prompt": question, "chosen": answer, "rejected": "a worse one", "system": system}, CHOSEN),
            ({"prompt": question, "chosen": opening + turns, "rejected": [*asked, other]}, CHOSEN),
        ]
    return rows


SPOKEN = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(lambda text: text.strip())
# A text such as `null` says that there is no system prompt.
SYSTEM = st.just("") | st.text("abc é", min_size=1, max_size=5).filter(str.strip)


@given(SYSTEM, st.lists(st.tuples(SPOKEN, SPOKEN), min_size=1, max_size=3))
def test_a_conversation_is_one_record_in_every_layout(system: str, pairs: list[tuple[str, str]]) -> None:
    earlier = [Turn("system", system)] if system else []
    for question, answer in pairs[:-1]:
        earlier += [Turn("user", question), Turn("assistant", answer)]
    question, answer = pairs[-1]
    expected = make_record(question, "", answer, turns=earlier)
    for row, names in every_layout(system, pairs):
        record = to_record(row, "here", names)
        assert (record.id, record) == (expected.id, expected)
        assert all(one.loss for one in to_record(row, "here", names, "all").turns if one.role == "assistant")


def test_a_pair_keeps_the_input_of_its_question() -> None:
    row = {"instruction": "Q", "input": "I", "chosen": "A", "rejected": "B"}
    assert to_record(row, "here", CHOSEN) == to_record(row, "here", {"output": "chosen"}) == make_record("Q", "I", "A")


def test_every_part_can_be_mapped() -> None:
    parts = {part for layout in layouts() for part in layout.parts}
    # `conversations` is another name of `messages`, which a mapping to `messages` stands for.
    assert set(get_args(RecordField)) == (parts | set(COMMON)) - {"conversations"}


@pytest.mark.parametrize(
    ("row", "names", "message"),
    [
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, {}, r"'chosen'.*\{chosen: chosen\}.*--field chosen=chosen"),
        ({"chosen": CHAT, "rejected": CHAT}, {}, r"'chosen'.*\{chosen: chosen\}"),
        ({"messages": CHAT, "rejected": CHAT}, {}, r"'rejected'.*\{chosen: chosen\}.*'leave'"),
        ({"messages": CHAT, "rejected_response": "B"}, {}, "'rejected_response', the worse answer.*'leave'"),
        ({"chosen": "A", "rejected": "B"}, CHOSEN, "'prompt' is missing: give the question that 'chosen' answers"),
        ({"prompt": "P", "chosen": CHAT}, CHOSEN, "'chosen' is a conversation that does not begin with 'prompt'"),
        ({"prompt": "Q", "chosen": 3}, CHOSEN, "'chosen' is a int"),
        ({"prompt": "Q", "completion": ["A"]}, {}, "'completion' is no list of objects"),
        ({"prompt": [turn("user", "Q")], "completion": [turn("user", "A")]}, {},
         "'prompt' and 'completion' has the roles user, user"),
        ({"messages": CHAT, "conversations": CHAT}, {}, "'messages' and 'conversations': say in"),
        ({"instruction": "Q", "output": "A", "history": "Q0"}, {}, "'history' is no list of pairs"),
        ({"instruction": "Q", "output": "A", "history": [["Q0"]]}, {}, "'history' is no list of pairs"),
        ({"instruction": "Q", "output": "A", "system": ["S"]}, {}, "'system' is a list: make it a text"),
        ({"instruction": "Q", "output": "A", "system": "S", "system_prompt": "T"}, {},
         "more than one system prompt, in 'system' and 'system_prompt'.*leave"),
        ({"messages": [turn("system", "T"), *CHAT], "system": "S"}, {}, "in 'system' and a turn 'system'.*leave"),
        ({"messages": CHAT, "before": [["Q", "A"]]}, {"history": "before"},
         "names 'before' for history, which is not read with 'messages'"),
        ({"instruction": "Q", "output": "A", "other": CHAT}, {"instruction": "instruction", "input": "other"},
         "'other' is a list"),
    ],
)  # fmt: skip
def test_what_a_layout_does_not_read_is_said(row: dict[str, Any], names: dict[str, str], message: str) -> None:
    with pytest.raises(GradsError, match=f"here: .*{message}"):
        to_record(row, "here", names)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [turn("system", "S"), *CHAT], "system": "S"},
        {"messages": CHAT, "system": "S", "system_prompt": "S"},
        {"messages": CHAT, "system": None, "system_prompt": "S"},
        {"messages": CHAT, "system_message": "S"},
        {"messages": [turn("system", ""), *CHAT], "system": "S"},
        {"messages": CHAT, "system": "T", "told": "S"},
    ],
)
def test_one_system_prompt_is_read_wherever_it_stands(row: dict[str, Any]) -> None:
    record = to_record(row, "here", {"system": "told"} if "told" in row else {})
    assert record.turns[0] == Turn("system", "S")
    assert len(record.turns) == 3


def test_the_config_may_leave_a_system_prompt_or_a_layout() -> None:
    row = {"messages": [turn("system", "S"), *CHAT], "system": "T", "instruction": "x", "output": "y"}
    assert to_record(row, "here", leave=["system", "output"]) == to_record({"messages": CHAT}, "here")


@pytest.mark.parametrize(
    ("value", "own_id"),
    [("a-7", "a-7"), (7, "7"), (0, "0"), (7.0, "7"), ("", ""), (None, ""), (float("nan"), ""), ([1], ""), (True, "")],
)
def test_an_owners_id_is_kept(value: Any, own_id: str) -> None:
    row = {"instruction": "Q", "output": "A", "id": value}
    record = to_record(row, "here")
    assert (record.id, record.own_id) == (make_record("Q", "", "A").id, own_id)
    named = {"instruction": "Q", "output": "A", "key": "k", "id": value}
    assert to_record(named, "here", {"id": "key"}).own_id == "k"


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"$oid": "x"}])
def test_an_owners_id_that_the_config_names_is_a_text_or_a_whole_number(value: Any) -> None:
    with pytest.raises(GradsError, match=r"here: 'key' is a .*: make it a text or a whole number"):
        to_record({"instruction": "Q", "output": "A", "key": value}, "here", {"id": "key"})


def test_of_repetitions_the_first_id_is_kept(tmp_path: Path) -> None:
    rows = [{"instruction": "Q", "output": "A", "id": name} for name in ("first", "second")]
    records, counts = read_records(write_lines(tmp_path / "data.jsonl", *rows))
    assert [record.own_id for record in records] == ["first"]
    assert counts == {"read": 2, "empty": 0, "duplicate": 1}


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
ROLE = st.sampled_from(["system", "developer", "user", "assistant", "tool", "human", "gpt"]) | JSON
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": ROLE,
        "content": st.text(max_size=5) | JSON,
        "from": ROLE,
        "value": st.text(max_size=5) | JSON,
        "weight": st.integers(0, 2) | JSON,
        "train": JSON,
        "tool_calls": JSON,
    },
)
VALUE = st.text(max_size=5) | JSON | st.lists(MESSAGE, max_size=4)
KEYS = (*get_args(RecordField), "tools", "label", "context")
ROW = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUE))


def sentence(read: Callable[[], object]) -> str:
    """Return what a GradsError says, or nothing."""
    try:
        read()
    except GradsError as error:
        return str(error)
    return ""


@given(
    ROW | JSON,
    st.sampled_from(["last", "all"]),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(KEYS), max_size=2),
)
def test_any_json_line_is_a_record_or_a_sentence(value: Any, loss_turns: Any, names: dict[str, str]) -> None:
    found: list[Record] = []

    def read() -> None:
        for place, row in parse_rows(io.BytesIO(json.dumps(value).encode()), "a.jsonl", "a.jsonl"):
            found.append(to_record(row, place, names, loss_turns))

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
