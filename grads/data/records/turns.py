"""Conversations as data sets write them: lists of turns, each with a speaker and a text.

{role: system | developer | user | assistant, content: text or a list of text parts}     (OpenAI, TRL)
{from: system | human | gpt, value: text}                                                (ShareGPT)
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grads.config.section import LossTurns
from grads.data.records.record import SYSTEM_ROLES, Turn
from grads.data.records.unread import check_keys, check_role, is_empty, to_leave
from grads.runtime.errors import GradsError

# Common keys of a turn that say whether it carries loss.
LOSS_KEYS = ("weight", "train", "training", "loss")
# ShareGPT's names of speakers, in small letters, and ours.
SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
}
TEXT_PARTS = ("text", "input_text", "output_text")


@dataclass(frozen=True, slots=True)
class Message:
    """A turn as it was read; `mark` says whether it carries loss, where it says so itself."""

    role: str
    content: str
    mark: bool | None = None


def read_messages(value: object, column: str, place: str, leave: Collection[str] = ()) -> list[Message]:
    """Return the turns of a list of objects.

    Args:
        value: what stands in the row.
        column: the column that it stands in, for errors.
        place: where the row stands, for errors.
        leave: keys and roles of turns, and types of content parts, that are left out. A turn that says nothing but what
            stands under such a key is left out as a whole.

    Raises:
        GradsError: it is no list of turns with a speaker and a text each, or a turn has what is not trained on.
    """
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise GradsError(f'{place}: \'{column}\' is no list of objects: write {{"role": ..., "content": ...}} for each')
    messages = []
    for number, message in enumerate(value, start=1):
        if read := _Reader(column, place, number, leave).message(message):
            messages.append(read)
    return messages


@dataclass(frozen=True)
class _Reader:
    """Reads one turn; `number` counts from 1."""

    column: str
    place: str
    number: int
    leave: Collection[str]

    @property
    def turn(self) -> str:
        return f"{self.place}: turn {self.number} of '{self.column}'"

    def message(self, given: Mapping[str, Any]) -> Message | None:
        """Return the turn, or nothing where nothing of it is left."""
        message = {key: value for key, value in given.items() if key not in self.leave}
        left_out = any(not is_empty(value) for key, value in given.items() if key in self.leave)
        role = self._role(message)
        if role in self.leave:
            return None
        check_role(role, self.turn)
        check_keys(message, self.turn)
        content = self._content(message, left_out)
        if left_out and not content.strip():
            return None
        return Message(role, content, self._mark(message) if role == "assistant" else None)

    def _role(self, message: Mapping[str, Any]) -> str:
        key = self._one_of(message, "role", "from")
        role = message.get(key)
        if not isinstance(role, str):
            raise GradsError(f"{self.turn} has no text 'role': give each turn one")
        if key == "role":
            return role
        return SPEAKERS.get(role.lower(), role)

    def _content(self, message: Mapping[str, Any], left_out: bool) -> str:
        content = message.get(self._one_of(message, "content", "value"))
        if content is None and left_out:
            return ""
        if isinstance(content, list):
            return "".join(map(self._part, content))
        if not isinstance(content, str):
            raise GradsError(f"{self.turn} has no text 'content': give each turn one")
        return content

    def _one_of(self, message: Mapping[str, Any], ours: str, sharegpt: str) -> str:
        """Return which of two keys a turn has."""
        if message.get(sharegpt) is None:
            return ours
        if message.get(ours) is not None:
            raise GradsError(f"{self.turn} has both '{ours}' and '{sharegpt}': leave one out")
        return sharegpt

    def _part(self, part: object) -> str:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or not isinstance(kind, str):
            raise GradsError(f'{self.turn} has a content part without a type: write {{"type": "text", "text": ...}}')
        if kind in self.leave:
            return ""
        if kind not in TEXT_PARTS:
            raise GradsError(f"{self.turn} has a content part '{kind}', which is no text: {to_leave(kind)}")
        if not isinstance(part.get("text"), str):
            raise GradsError(f"{self.turn} has a content part '{kind}' without a text: give it one")
        return part["text"]

    def _mark(self, message: Mapping[str, Any]) -> bool | None:
        marks = [message[key] for key in LOSS_KEYS if message.get(key) is not None]
        if not all(isinstance(mark, bool | int | float) and mark in (0, 1) for mark in marks) or len(set(marks)) > 1:
            raise GradsError(
                f"{self.place}: turn {self.number} has the loss marks {marks}: write 'weight' 0 or 1, or 'train' true "
                "or false"
            )
        return bool(marks[0]) if marks else None


def to_turns(messages: Sequence[Message], what: str, place: str, loss_turns: LossTurns) -> list[Turn]:
    """Return the turns of a conversation, checked: one that opens it, if there is one, then user and assistant in turn.

    Raises:
        GradsError: the roles are in another order, or the last answer carries no loss.
    """
    roles = [message.role for message in messages]
    said = roles[1:] if roles and roles[0] in SYSTEM_ROLES else roles
    if not said or len(said) % 2 or said != ["user", "assistant"] * (len(said) // 2):
        raise GradsError(
            f"{place}: {what} has the roles {_shown(roles)}: after a system turn, if there is one, let "
            "user and assistant follow each other, from user to assistant"
        )
    turns = []
    for number, message in enumerate(messages, start=1):
        default = loss_turns == "all" or number == len(messages)
        loss = message.role == "assistant" and (default if message.mark is None else message.mark)
        turns.append(Turn(message.role, message.content, loss))
    if not turns[-1].loss:
        raise GradsError(f"{place}: the last turn carries no loss, but is the answer to learn: remove its mark, or it")
    return turns


def _shown(roles: list[str]) -> str:
    return ", ".join(role if role.isidentifier() else repr(role) for role in roles[:12]) or "of nobody"
