"""`untuned`: the model as it came, trained on nothing."""

from grads.selection.contract import Choice, Inputs, Method, Parameters


def select(inputs: Inputs, _parameters: Parameters) -> Choice:
    """Choose nothing."""
    import numpy as np

    return Choice(np.zeros(len(inputs.pool)), order=np.empty(0, dtype=int))


METHOD = Method(name="untuned", title="Untuned", source="control", select=select, fixed_ratio="0", trains=False)
