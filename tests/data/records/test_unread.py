"""What changes a row's meaning and is not trained on: refused by name until the config says to leave it."""

from typing import Any

import pytest

from grads.data.records.layouts import to_record
from grads.data.records.record import make_record
from grads.data.records.unread import COLUMNS, KEYS, ROLES, is_empty
from grads.runtime.errors import GradsError

ROW = {"instruction": "Q", "output": "A"}
CHAT = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
READ = ("system", "system_prompt", "system_message", "history")
EMPTY: list[Any] = [None, "", " ", [], {}, "[]", "{}", "null", [None, ""], {"a": None, "b": []}, float("nan"), False]


def refused(row: dict[str, Any], name: str, **how: Any) -> str:
    with pytest.raises(GradsError, match=rf"here: .*'{name}'.*'leave' \(or by --leave\)") as raised:
        to_record(row, "here", **how)
    return str(raised.value)


@pytest.mark.parametrize("column", sorted(set(COLUMNS) - set(READ)))
@pytest.mark.parametrize("row", [ROW, CHAT], ids=["instruction", "messages"])
def test_a_column_that_changes_the_meaning_is_refused_until_it_is_left(row: dict[str, Any], column: str) -> None:
    for value in ("something", ["a"], [{"type": "function"}], {"bytes": "x"}):
        refused(row | {column: value}, column)
        assert to_record(row | {column: value}, "here", leave=[column]) == make_record("Q", "", "A")
    for value in EMPTY:
        assert to_record(row | {column: value}, "here") == make_record("Q", "", "A")


@pytest.mark.parametrize("column", ["Reasoning", "Complex-CoT", "Chain of Thought", "IMAGES"])
def test_a_column_is_known_however_it_is_written(column: str) -> None:
    refused(ROW | {column: "something"}, column)


def test_what_was_said_before_is_refused_where_the_layout_does_not_read_it() -> None:
    row = {"history": [["Q0", "A0"]]}
    refused(CHAT | row, "history")
    assert to_record(CHAT | row, "here", leave=["history"]) == make_record("Q", "", "A")


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_key_of_a_turn_that_changes_the_meaning_is_refused_until_it_is_left(key: str) -> None:
    def row(value: object) -> dict[str, Any]:
        return {"messages": [CHAT["messages"][0], CHAT["messages"][1] | {key: value}]}

    assert "turn 2 of 'messages'" in refused(row([{"id": 1}]), key)
    assert to_record(row("x"), "here", leave=[key]) == make_record("Q", "", "A")
    for value in EMPTY:
        assert to_record(row(value), "here") == make_record("Q", "", "A")


@pytest.mark.parametrize("role", sorted(ROLES))
@pytest.mark.parametrize("keys", [("role", "content"), ("from", "value")])
def test_a_turn_of_a_tool_is_refused_until_it_is_left(role: str, keys: tuple[str, str]) -> None:
    said = [("user", "Q"), ("assistant", ""), (role, "4"), ("assistant", "A")]
    messages: list[dict[str, Any]] = [dict(zip(keys, turn, strict=True)) for turn in said]
    messages[1]["tool_calls"] = [{"function": {"name": "add"}}]
    refused({"messages": messages}, "tool_calls")
    assert "turn 3" in refused({"messages": messages}, role, leave=["tool_calls"])
    # The turn that only called the tool goes with the call.
    assert to_record({"messages": messages}, "here", leave=["tool_calls", role]) == make_record("Q", "", "A")
    messages[1][keys[1]] = "Let me add."
    with pytest.raises(GradsError, match="roles user, assistant, assistant"):
        to_record({"messages": messages}, "here", leave=["tool_calls", role])


@pytest.mark.parametrize(
    ("column", "bad", "good"),
    [
        ("label", [False, "False", "false"], [True, "True", 0, 1, "negative", None, ""]),
        ("kto_tag", [False, "False", 0], [True, None]),
        ("weight", [0, 0.0, False, "0", "0.0"], [1, 0.5, None, "1"]),
        ("train", [False, 0, "false"], [True, 1, None]),
    ],
)
def test_a_mark_that_an_answer_is_not_to_be_learnt_is_refused(column: str, bad: list[Any], good: list[Any]) -> None:
    for row in (ROW, CHAT, {"prompt": "Q", "completion": "A"}):
        for value in bad:
            refused(row | {column: value}, column)
            assert to_record(row | {column: value}, "here", leave=[column]) == make_record("Q", "", "A")
        for value in good:
            assert to_record(row | {column: value}, "here") == make_record("Q", "", "A")


def test_ordinary_columns_stay_free() -> None:
    ordinary = {
        "id": "x", "url": "https://a.b", "category": "law", "score": 0.5, "topic": ["a"], "language": "en", "label": 0,
        "num_turns": 2, "prompt_id": "y", "score_chosen": 3.5, "explanation": "as it is", "metadata": {"tools": "x"},
    }  # fmt: skip
    for row in (ROW, CHAT):
        assert to_record(row | ordinary, "here") == make_record("Q", "", "A")
    turn = CHAT["messages"][1] | {"id": 3, "timestamp": "now", "score": 0.1, "annotations": ["a"]}
    assert to_record({"messages": [CHAT["messages"][0], turn]}, "here") == make_record("Q", "", "A")


def test_a_column_is_not_refused_that_the_config_names() -> None:
    row = ROW | {"reasoning": "because", "tools": "hammer"}
    record = to_record(row, "here", {"source": "tools"}, "last", ["reasoning"])
    assert (record.source, record.metadata) == ("hammer", '{"reasoning": "because"}')
    assert to_record({"instruction": "Q", "reasoning": "A"}, "here", {"output": "reasoning"}).output == "A"


@pytest.mark.parametrize("row", [ROW, {"prompt": "Q", "completion": "A"}], ids=["instruction", "prompt"])
def test_half_of_a_question_is_refused_until_the_config_says_what_it_is(row: dict[str, Any]) -> None:
    asked = row | {"context": "C"}
    assert "{input: context}" in refused(asked, "context")
    assert to_record(asked, "here", leave=["context"]) == make_record("Q", "", "A")
    assert to_record(row | {"context": ""}, "here") == make_record("Q", "", "A")


def test_a_context_is_free_where_an_input_stands_in_the_row() -> None:
    assert to_record(ROW | {"context": "C"}, "here", {"input": "context"}) == make_record("Q", "C", "A")
    assert to_record(ROW | {"input": "I", "context": "C"}, "here") == make_record("Q", "I", "A")


def test_nothing_is_empty_that_says_something() -> None:
    assert all(map(is_empty, EMPTY))
    assert not any(map(is_empty, [0, 1, True, "x", ["x"], [0], {"a": 0}, 0.0]))
