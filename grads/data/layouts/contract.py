"""What a layout declares: the columns by which a row is told to have it, and how its row is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grads.data.records.record import SYSTEM_ROLES
from grads.data.records.turns import Message, read_messages
from grads.runtime.errors import GradsError

LAST = 1000
"""The order of a layout that does not say where it stands."""


@dataclass(frozen=True)
class Given:
    """A row to read, with its place for errors, and what the config says of its columns.

    Attributes:
        row: column to value, without what is to be left out.
        place: where the row stands.
        names: our name of a column to the row's, where they differ.
        metadata: columns that are kept as they are.
        leave: columns, and keys and roles of turns, that are left out.
    """

    row: Mapping[str, Any]
    place: str
    names: Mapping[str, str]
    metadata: Sequence[str]
    leave: Sequence[str]

    def column(self, name: str) -> str:
        """Return what the row calls a part."""
        return self.names.get(name, name)

    def value(self, name: str) -> Any:
        """Return what stands in the column of a part; None where the row has none."""
        return self.row.get(self.column(name))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a part that is a text; the default where it is not there.

        Raises:
            GradsError: it is no text, or not there and has no default.
        """
        value = self.value(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.error(f"'{self.column(name)}' is a {type(value).__name__}: make it a text in double quotes")
        return value

    def messages(self, name: str, speaker: str | None = None) -> list[Message]:
        """Return a part that is a list of turns, or where there is a `speaker`, one turn or a text that he speaks.

        Raises:
            GradsError: it is neither.
        """
        value = self.value(name)
        if speaker and isinstance(value, dict):  # As LLaMA-Factory writes the answers of a pair.
            value = [value]
        if speaker is None or isinstance(value, list):
            return read_messages(value, self.column(name), self.place, self.leave)
        return [Message(speaker, self.text(name))]

    def error(self, what: str) -> GradsError:
        """Return an error that names the place of the row."""
        return GradsError(f"{self.place}: {what}")


@dataclass(frozen=True)
class Conversation:
    """What a layout reads: turns that end with the answer to learn; `input` stands below the last question."""

    messages: list[Message]
    input: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A way to write a conversation as a row, declared as `LAYOUT` in a file of its own.

    All layouts may have a system prompt, `id`, `source`, `group` and `references`.

    Attributes:
        name: of the layout.
        needed: parts that a row of this layout has; they tell it from the others.
        read: makes a conversation of a row, without the system prompt.
        optional: parts that it reads where they are there.
        only_named: whether a row has this layout only where the config names one of the parts that it needs.
        order: its place in messages; of equal ones the name decides.
    """

    name: str
    needed: tuple[str, ...]
    read: Callable[[Given], Conversation]
    optional: tuple[str, ...] = ()
    only_named: bool = False
    order: int = LAST

    @property
    def parts(self) -> tuple[str, ...]:
        """Return all parts that it reads."""
        return (*self.needed, *self.optional, "system")

    def columns(self, given: Given) -> str:
        """Return what the row calls the parts that are needed, for errors."""
        return ", ".join(map(given.column, self.needed))


def without_system(messages: Sequence[Message]) -> list[Message]:
    """Return what users and assistants said."""
    return [message for message in messages if message.role not in SYSTEM_ROLES]
