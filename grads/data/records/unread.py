"""What a record cannot hold though it changes what a row means: refused by name until the config says to leave it.

Ordinary further columns (an id, an address, a category, a score) mean nothing for training and stay where they are.
What is listed here is another matter: half of a prompt, a call of a tool, a picture, a mark that an answer is a bad
one. To train as if it were not there is to train on something else, so `leave` must name it first.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

from grads.runtime.errors import GradsError

# Texts that say nothing, as columns of JSON and of pandas have them.
NOTHING = ("", "[]", "{}", "null", "none", "nan")

_TOOLS = "tools that the model may call"
_CALL = "a call of a tool"
_THOUGHT = "what was thought before the answer"
_PICTURE = "a picture"
_FILM = "a film"
_SOUND = "a sound"
_SYSTEM = "a system prompt"
_WORSE = "the worse answer of a pair"
_TEMPLATE = "something that the chat template is told"

# Columns of a row, in small letters with _ between words.
COLUMNS = {
    "tools": _TOOLS,
    "functions": _TOOLS,
    "tool_calls": _CALL,
    "function_call": _CALL,
    "documents": "documents that stand in the prompt",
    "chat_template": _TEMPLATE,
    "chat_template_kwargs": _TEMPLATE,
    "image": _PICTURE,
    "images": _PICTURE,
    "image_url": _PICTURE,
    "image_path": _PICTURE,
    "video": _FILM,
    "videos": _FILM,
    "audio": _SOUND,
    "audios": _SOUND,
    "reasoning": _THOUGHT,
    "reasoning_content": _THOUGHT,
    "thinking": _THOUGHT,
    "thought": _THOUGHT,
    "thoughts": _THOUGHT,
    "cot": _THOUGHT,
    "complex_cot": _THOUGHT,
    "chain_of_thought": _THOUGHT,
    "system": _SYSTEM,
    "system_prompt": _SYSTEM,
    "system_message": _SYSTEM,
    "history": "what was said before",
    "chosen": "the better answer of a pair",
    "rejected": _WORSE,
    "rejected_response": _WORSE,
    "rejected_messages": _WORSE,
}
# The two answers of a pair, of which the config says whether one is learnt.
PAIR = ("chosen", "rejected")
# Columns that may mark an answer as one not to learn from, and whether 0 says so as false does: a `label` 0 is a class
# of many a data set, and a `loss` may be a measured one.
MARKS = {"label": False, "kto_tag": True, "weight": True, "train": True, "training": True, "loss": False}

# Keys of a turn.
KEYS = {
    "tools": _TOOLS,
    "functions": _TOOLS,
    "tool_calls": _CALL,
    "tool_call": _CALL,
    "tool_call_id": _CALL,
    "tool_plan": _CALL,
    "tool_responses": "what a tool answered",
    "tool_results": "what a tool answered",
    "function_call": _CALL,
    "function_calls": _CALL,
    "documents": "documents that stand in the prompt",
    "reasoning": _THOUGHT,
    "reasoning_content": _THOUGHT,
    "reasoning_details": _THOUGHT,
    "thinking": _THOUGHT,
    "thinking_blocks": _THOUGHT,
    "thought": _THOUGHT,
    "thoughts": _THOUGHT,
    "name": "who speaks",
    "refusal": "an answer that is a refusal",
    "audio": _SOUND,
    "audios": _SOUND,
    "image": _PICTURE,
    "images": _PICTURE,
    "image_url": _PICTURE,
    "video": _FILM,
    "videos": _FILM,
    "files": "files",
    "attachments": "files",
    "train_detail": "which part of an answer carries loss",
    "training_detail": "which part of an answer carries loss",
}
# Roles of turns that neither a user nor the model speaks.
ROLES = {
    "tool": "what a tool answered",
    "tool_response": "what a tool answered",
    "tool_result": "what a tool answered",
    "function": "what a tool answered",
    "function_response": "what a tool answered",
    "ipython": "what a tool answered",
    "observation": "what a tool answered",
    "environment": "what a tool answered",
    "function_call": _CALL,
    "tool_call": _CALL,
}


def is_empty(value: object) -> bool:
    """Return whether a value says nothing: null, NaN, false, a blank text, or a list or an object of such alone."""
    if value is None or value is False:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, str):
        return value.strip().lower() in NOTHING
    if isinstance(value, Mapping):
        return all(is_empty(inner) for inner in value.values())
    return isinstance(value, list) and all(is_empty(inner) for inner in value)


def check_columns(row: Mapping[str, Any], read: Collection[str], place: str) -> None:
    """Refuse a row with a column, not among those that are read, without which it would mean something else.

    Raises:
        GradsError: names the column and what the config can say of it.
    """
    for column, value in row.items():
        if column in read:
            continue
        name = _plain(column)
        if name in COLUMNS and not is_empty(value):
            raise GradsError(
                f"{place}: the row has '{column}', {COLUMNS[name]}, which is not read: {_ways_out(column)}"
            )
        if name in MARKS and _says_no(name, value):
            raise GradsError(
                f"{place}: the row has '{column}' {value!r}, which marks an answer that is not to be learnt: remove "
                f"such rows, or list '{column}' in the domain's 'leave' (or by --leave) to learn it all the same"
            )


def _ways_out(column: str) -> str:
    name = _plain(column)
    without = f"list '{column}' in the domain's 'leave' (or by --leave) to go on without it"
    if name in PAIR:
        return (
            "say that the better answer is learnt, by the domain's 'fields' {chosen: chosen} (or --field "
            f"chosen=chosen), or {without}"
        )
    return f"rewrite the row, or {without}"


def check_keys(message: Mapping[str, Any], place: str) -> None:
    """Refuse a turn with a key without which it would mean something else.

    Raises:
        GradsError: names the key and what the config can say of it.
    """
    for key, value in message.items():
        if _plain(key) in KEYS and not is_empty(value):
            raise GradsError(f"{place} has '{key}', {KEYS[_plain(key)]}, which is not trained on: {to_leave(key)}")


def check_role(role: str, place: str) -> None:
    """Refuse a turn that neither a user nor the model speaks; raises like `check_keys`."""
    if role.lower() in ROLES:
        raise GradsError(
            f"{place} has the role '{role}', {ROLES[role.lower()]}, which is not trained on: {to_leave(role)}"
        )


def to_leave(name: str) -> str:
    """Return what a user can do about a part of a turn that is not trained on."""
    return f"take such conversations out, or list '{name}' in the domain's 'leave' (or by --leave) to go on without it"


def _says_no(name: str, value: object) -> bool:
    if isinstance(value, str):
        text = value.strip().lower()
        return text == "false" or (MARKS[name] and text in ("0", "0.0"))
    return value is False or (MARKS[name] and isinstance(value, int | float) and value == 0)


def _plain(name: str) -> str:
    """Return a name in small letters, with _ between words."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")
