"""`grand`: GraNd, the records with the largest gradients early in training.

Certain: the score is the norm of the loss gradient, and the highest are kept. The paper takes the gradient of all
parameters, and its mean over some ten initialisations and early epochs.

Ours: a pretrained model has one initialisation, so there is one measurement, by default of the model as it came. By
default it is that of the LM head, which is there however the model is trained; several layers count as one gradient,
the norms of which add up as squares.
"""

from __future__ import annotations

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import NormLayers, Point, gradient_measures, gradient_norm


class Grand(Parameters):
    """Parameters of `grand`."""

    point: Point = Field("base", description="Whose gradients: untrained, after the preliminary epoch, or during it.")
    layers: NormLayers = Field(
        ["head"], description="Layers whose gradient is measured; `weights` where all are trained."
    )


def needs(parameters: Grand) -> Needs:
    """Return the need of the gradient norms."""
    return Needs({parameters.point: gradient_measures(parameters.layers)})


def select(inputs: Inputs, parameters: Grand) -> Choice:
    """Choose the largest norms."""
    return Choice(gradient_norm(inputs.signals[parameters.point], parameters.layers))


METHOD = Method(name="grand", title="GraNd", source="arXiv 2107.07075", select=select, parameters=Grand, needs=needs)
