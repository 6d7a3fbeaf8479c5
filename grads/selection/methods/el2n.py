"""`el2n`: EL2N, the records whose predicted probabilities are furthest from what is there.

Certain: the score is the length of the error vector, predicted probabilities minus one-hot target, and the highest are
kept. The paper classifies images, and takes the mean over some ten runs at an early epoch.

Ours: an example is a token, and a record's score the mean over its response tokens; one measurement, by default of the
model as it came, whose predictions are no guesses as those of a fresh network are.
"""

from __future__ import annotations

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import Point


class El2n(Parameters):
    """Parameters of `el2n`."""

    point: Point = Field("base", description="Whose predictions: untrained, after the preliminary epoch, or during it.")


def needs(parameters: El2n) -> Needs:
    """Return the need of the error vectors' lengths."""
    return Needs({parameters.point: frozenset({"el2n"})})


def select(inputs: Inputs, parameters: El2n) -> Choice:
    """Choose the largest errors."""
    return Choice(inputs.signals[parameters.point]["el2n"].to_numpy(dtype=float))


METHOD = Method(name="el2n", title="EL2N", source="arXiv 2107.07075", select=select, parameters=El2n, needs=needs)
