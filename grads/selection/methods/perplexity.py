"""`perplexity`: records that the model finds surprising, middling, or easy.

Records are ordered by mean loss per token, whose exponential is the perplexity. `top` keeps the highest, `low` the
lowest, `mid` starts at the 33rd percentile from above and goes down.

Certain: `top`, and `mid` with its start, over all tokens of prompt and response, as baselines in the code of arXiv
2503.01807.

Ours: the default, `mid`; `low`; the loss of the response alone. Where `mid` is asked for more records than lie below
its start, those just above it follow, from low to high, where the authors' code would return fewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import Point

if TYPE_CHECKING:
    import numpy as np

# Share of the records, from the highest loss on, that `mid` passes over first.
START = 0.33


class Perplexity(Parameters):
    """Parameters of `perplexity`."""

    point: Point = Field("base", description="Whose perplexity: untrained, after the preliminary epoch, or during it.")
    part: Literal["top", "mid", "low"] = Field("mid", description="Which part of the order is kept.")
    tokens: Literal["sequence", "response"] = Field("sequence", description="Tokens whose loss counts.")


def needs(parameters: Perplexity) -> Needs:
    """Return the need of the loss."""
    return Needs({parameters.point: frozenset({"losses" if parameters.tokens == "response" else "prompt"})})


def select(inputs: Inputs, parameters: Perplexity) -> Choice:
    """Choose by loss, by minus loss, or by closeness to the loss where `mid` starts, from below first."""
    losses = inputs.signals[parameters.point][f"{parameters.tokens}_nll"].to_numpy(dtype=float)
    if parameters.part == "mid":
        return Choice(from_start(losses))
    return Choice(losses if parameters.part == "top" else -losses)


def from_start(losses: np.ndarray) -> np.ndarray:
    """Return N scores: the loss at the start is highest, lower losses follow downwards, then higher ones upwards."""
    import numpy as np

    from grads.selection.gradient_signals import below

    start = np.sort(losses)[::-1][int(START * len(losses))]
    return below(-np.abs(losses - start), losses > start)


METHOD = Method(
    name="perplexity",
    title="Perplexity",
    source="baselines top-ppl and mid-ppl of arXiv 2503.01807",
    select=select,
    parameters=Perplexity,
    needs=needs,
)
