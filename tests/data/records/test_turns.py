"""Turns as OpenAI, TRL and ShareGPT write them."""

from typing import Any

import pytest

from grads.data.records.layouts import collect_records, to_record
from grads.data.records.record import Turn, make_record
from grads.data.records.turns import Message, read_messages
from grads.runtime.errors import GradsError

USER = {"role": "user", "content": "Q"}
ANSWER = {"role": "assistant", "content": "A"}


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (USER, Message("user", "Q")),
        ({"from": "human", "value": "Q"}, Message("user", "Q")),
        ({"from": "Human", "value": "Q"}, Message("user", "Q")),
        ({"from": "user", "value": "Q"}, Message("user", "Q")),
        ({"from": "gpt", "value": "A"}, Message("assistant", "A")),
        ({"from": "assistant", "value": "A"}, Message("assistant", "A")),
        ({"from": "system", "value": "S"}, Message("system", "S")),
        ({"role": "developer", "content": "D"}, Message("developer", "D")),
        ({"role": "user", "content": "Q", "from": None, "value": None}, Message("user", "Q")),
        ({"from": "gpt", "value": "A", "weight": 0}, Message("assistant", "A", False)),
        (ANSWER | {"loss": True}, Message("assistant", "A", True)),
        (ANSWER | {"training": False}, Message("assistant", "A", False)),
        (USER | {"weight": 1}, Message("user", "Q")),
        ({"role": "user", "content": [{"type": "text", "text": "Q"}]}, Message("user", "Q")),
        (
            {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b", "image": None}]},
            Message("user", "a b"),
        ),
    ],
)
def test_a_turn_is_a_speaker_and_a_text(turn: dict[str, Any], message: Message) -> None:
    assert read_messages([turn], "chat", "here") == [message]


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"from": "human"}, "turn 1 of 'chat' has no text 'content'"),
        ({"value": "Q"}, "turn 1 of 'chat' has no text 'role'"),
        (USER | {"value": "other"}, "turn 1 of 'chat' has both 'content' and 'value'"),
        (USER | {"content": ["Q"]}, "a content part without a type"),
        (USER | {"content": [{"type": "text"}]}, "a content part 'text' without a text"),
        (USER | {"content": [{"type": "image_url", "image_url": "x"}]}, "a content part 'image_url', .*--leave"),
        (USER | {"content": [{"type": "hologram"}]}, "a content part 'hologram', .*--leave"),
        (USER | {"content": {"text": "Q"}}, "has no text 'content'"),
    ],
)
def test_what_is_no_turn_is_said(turn: dict[str, Any], said: str) -> None:
    with pytest.raises(GradsError, match=rf"here: .*{said}"):
        read_messages([turn], "chat", "here")


def test_a_part_is_left_out_that_the_config_leaves() -> None:
    picture = {"type": "image_url", "image_url": {"url": "x"}}
    seen = {"role": "user", "content": [{"type": "text", "text": "Q"}, picture]}
    assert to_record({"messages": [seen, ANSWER]}, "here", leave=["image_url"]) == make_record("Q", "", "A")
    alone = [USER, ANSWER | {"content": "A0"}, {"role": "user", "content": [picture]}, ANSWER]
    rows = iter([("here", {"messages": alone})])
    assert collect_records(rows, leave=["image_url"]) == ([], {"read": 1, "empty": 1, "duplicate": 0})


def test_a_developer_may_open_a_conversation() -> None:
    record = to_record({"messages": [{"role": "developer", "content": "D"}, USER, ANSWER]}, "here")
    assert record.turns == (Turn("developer", "D"),)
    assert record.id != make_record("Q", "", "A", turns=[Turn("system", "D")]).id
    with pytest.raises(GradsError, match="roles user, developer, assistant"):
        to_record({"messages": [USER, {"role": "developer", "content": "D"}, ANSWER]}, "here")
