"""What every part of the config is built on."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["bf16", "float32"]
NAME = r"^[a-z0-9][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]
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

LEAVE = (
    "Columns of a row, and keys, roles and content parts of its turns, that are knowingly left out, such as "
    "`[tool_calls, tool]`. What changes a row's meaning and cannot be trained on (tools, pictures, reasoning, the mark "
    "of a bad answer) is refused by name until it is listed here."
)


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values are not converted from text, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
