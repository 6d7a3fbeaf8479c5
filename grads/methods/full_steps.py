"""`full_steps`: all records, but only the optimiser steps that a subset of the ratio would take.

It separates "fewer records" from "fewer steps". A fresh run over the seeded full-data order whose whole schedule spans
those steps; the trainer reads the subset's size from the selection's `requested`.
"""

from pydantic import Field

from grads.methods.contract import Choice, Inputs, Method, Needs, Parameters


class FullSteps(Parameters):
    """Parameters of `full_steps`."""

    reference: str = Field("grads", description="Arm whose number of records counts where the ratio is `auto`.")


def needs(parameters: FullSteps) -> Needs:
    """Return the need of the reference's number of records."""
    return Needs(count_of=parameters.reference)


def select(inputs: Inputs, _parameters: FullSteps) -> Choice:
    """Choose everything; no record scores above another."""
    import numpy as np

    return Choice(np.zeros(len(inputs.pool)))


METHOD = Method("full_steps", "Full data, equal steps", "control", select, FullSteps, needs, equal_steps=True)
