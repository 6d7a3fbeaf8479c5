"""What passes over data cost in floating-point operations: counted by a rule, not measured.

A parameter and a token take 2 operations forward, a multiplication and an addition; backward 2 for the gradients of
activations, whatever is trained, and 2 more for its own gradient, where it is trained (Kaplan et al. 2020, section 2.1,
for whom all are: 6). Attention's products of queries and keys, the optimiser, projections and closed forms of norms are
left out, and so is the second forward pass, over answers alone, that measures `unconditional`.
"""

FORWARD, ACTIVATIONS, WEIGHTS = 2, 2, 2


def training_flops(parameters: int, trained: int, tokens: int) -> float:
    """Return what training takes: about 4 operations a parameter and token with an adapter, 6 with all weights.

    Args:
        parameters: of the model, its adapter included.
        trained: how many of them are trained.
        tokens: that the run visited, each as often as it did.
    """
    return float(((FORWARD + ACTIVATIONS) * parameters + WEIGHTS * trained) * tokens)


def probe_flops(parameters: int, gradient_passes: int, tokens: int) -> float:
    """Return what a signal store takes: 2 operations a parameter and token without gradients, 4 a pass with them.

    Args:
        parameters: of the model or the encoder.
        gradient_passes: passes that took gradients; 0 stands for one forward pass.
        tokens: of one pass.
    """
    per_token = (FORWARD + ACTIVATIONS) * gradient_passes if gradient_passes else FORWARD
    return float(per_token * parameters * tokens)
