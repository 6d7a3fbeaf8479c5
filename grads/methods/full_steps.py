"""`full_steps`: all records, but only the optimiser steps that a subset of the ratio would take.

It separates "fewer records" from "fewer steps". A fresh run over the seeded full-data order whose whole schedule spans
those steps; the trainer reads the subset's size from the selection's `requested`.
"""

from grads.methods.contract import Choice, Inputs, Method, Parameters


def select(inputs: Inputs, _parameters: Parameters) -> Choice:
    """Choose everything; no record scores above another."""
    import numpy as np

    return Choice(np.zeros(len(inputs.pool)))


METHOD = Method("full_steps", "Full data, equal steps", "control", select, equal_steps=True)
