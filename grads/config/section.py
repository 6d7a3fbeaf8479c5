"""What every part of the config is built on."""

import unicodedata
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from grads.runtime.errors import printable

Precision = Literal["auto", "bf16", "float32"]
NAME = r"^[a-z0-9][a-z0-9_-]*$"
DIGEST = r"^[0-9a-f]{64}$"
REPOSITORY = r"^[\w.-]+(/[\w.-]+)?$"
BENCHMARK = r"^[\w.-]+$"
# How sentences say what a text must look like.
PATTERNS = {
    NAME: "a name of a-z, 0-9, - and _ that begins with a letter or digit",
    DIGEST: "64 hexadecimal digits, 0-9 and a-f",
    REPOSITORY: "a repository as owner/name",
    BENCHMARK: "a name of letters, digits, dots, - and _",
}


@dataclass(frozen=True)
class WhereToFind:
    """In the annotation of a key that has to be given: what to do where it is missing.

    Args:
        text: a phrase, in which `{id}` stands for the value of the key `id` of the same section.
    """

    text: str


Name = Annotated[str, Field(pattern=NAME, max_length=64)]
Text = Annotated[str, Field(min_length=1)]
LossTurns = Literal["last", "all"]
RecordField = Literal[
    "instruction",
    "input",
    "output",
    "prompt",
    "completion",
    "messages",
    "chosen",
    "rejected",
    "system",
    "history",
    "references",
    "id",
    "source",
    "group",
]
# Characters without a form of their own that scripts need: they join or part letters.
_JOINERS = "\u200c\u200d"
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _seen(text: str) -> str:
    """Refuse a text that tables would print otherwise than it reads here, or not at all."""
    for character in text:
        if unicodedata.category(character) in _UNSEEN and character not in _JOINERS + "\n\t":
            raise ValueError(f"the character {printable(character)} cannot be seen in a table; take it away")
    return text


# What people read in tables and figures.
Shown = Annotated[str, Field(max_length=2000), AfterValidator(_seen)]

LEAVE = (
    "Columns of a row, and keys, roles and content parts of its turns, that are knowingly left out, such as "
    "`[tool_calls, tool]`. What changes a row's meaning and cannot be trained on (tools, pictures, reasoning, the mark "
    "of a bad answer) is refused by name until it is listed here."
)


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values are not converted from text, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
