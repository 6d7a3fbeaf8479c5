"""How large a model is."""

from torch import nn


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Return the number of all `parameters`, an adapter's among them, and of the `trained_parameters`.

    Weights that two layers share count once.
    """
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {
        "parameters": sum(size for size, _ in sizes),
        "trained_parameters": sum(size for size, trained in sizes if trained),
    }
