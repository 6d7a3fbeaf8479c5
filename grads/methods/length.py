"""`length`: the longest records, or the shortest.

Certain: the longest responses, counted in tokens, are the baseline of arXiv 2402.04833, which keeps a thousand.

Ours: the ratio in place of the thousand, the shortest, and the length of the prompt or of both.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grads.methods.contract import Choice, Inputs, Method, Parameters

FIELDS = {
    "response": ["response_tokens"],
    "prompt": ["prompt_tokens"],
    "whole": ["prompt_tokens", "response_tokens"],
}


class Length(Parameters):
    """Parameters of `length`."""

    field: Literal["response", "prompt", "whole"] = Field("response", description="What is counted, in tokens.")
    order: Literal["longest", "shortest"] = Field("longest", description="Which are kept.")


def select(inputs: Inputs, parameters: Length) -> Choice:
    """Choose by the number of tokens, or by minus that."""
    tokens = inputs.pool[FIELDS[parameters.field]].to_numpy(dtype=float).sum(axis=1)
    return Choice(tokens if parameters.order == "longest" else -tokens)


METHOD = Method("length", "Length", "arXiv 2402.04833", select, Length)
