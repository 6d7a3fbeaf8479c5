"""`full`: training on all eligible records."""

from grads.selection.contract import Choice, Inputs, Method, Parameters


def select(inputs: Inputs, _parameters: Parameters) -> Choice:
    """Choose everything; no record scores above another."""
    import numpy as np

    return Choice(np.zeros(len(inputs.pool)))


METHOD = Method(name="full", title="Full data", source="control", select=select, fixed_ratio="1")
