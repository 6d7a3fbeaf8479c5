"""`full_steps`: full data, for the number of optimiser steps that a subset of the ratio would take.

It separates "fewer records" from "fewer steps". A fresh run over the seeded full-data order whose whole schedule spans
those steps; the trainer reads the subset's size from the selection's `requested`.

It is no run on all records. With ratio r and E epochs it sees the first r E N records of that order, each once: 15 % of
the data at 0.05 and three epochs, and all of it only where r E is at least 1. So it is a run on fresh random records
for as many steps as the subset takes, which sees its own ones E times; `records` in `training.json` says how many they
were. Every step has a whole global batch, the last one too, where the subset's may have less.
"""

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters


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


METHOD = Method(
    name="full_steps",
    title="Full data, the subset's steps",
    source="control",
    select=select,
    parameters=FullSteps,
    needs=needs,
    equal_steps=True,
)
