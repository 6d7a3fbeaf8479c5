"""What every part of the config is built on."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["bf16", "float32"]


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values are not converted from text, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
