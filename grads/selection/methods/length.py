"""`length`: the longest records, or the shortest.

Certain: the longest responses, counted in tokens, are the baseline of arXiv 2402.04833, which keeps a thousand.

Ours: the ratio in place of the thousand, the shortest, and the length of the prompt or of both.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Parameters
from grads.selection.gradient_signals import LengthField


class Length(Parameters):
    """Parameters of `length`."""

    field: LengthField = Field("response", description="What is counted, in tokens.")
    order: Literal["longest", "shortest"] = Field("longest", description="Which are kept.")


def select(inputs: Inputs, parameters: Length) -> Choice:
    """Choose by the number of tokens, or by minus that."""
    from grads.selection.gradient_signals import lengths

    tokens = lengths(inputs.pool, parameters.field)
    return Choice(tokens if parameters.order == "longest" else -tokens)


METHOD = Method(name="length", title="Length", source="arXiv 2402.04833", select=select, parameters=Length)
