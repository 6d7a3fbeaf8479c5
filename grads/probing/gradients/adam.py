"""The direction in which Adam would move the weights for one record: what the `adam` form of features projects."""

from torch import Tensor


def adam_direction(
    gradient: Tensor,
    average: Tensor,
    average_squared: Tensor,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> Tensor:
    """Return Gamma(z) of LESS (M. Xia et al., arXiv 2402.04333, section 2), the step of Adam for record z alone.

    With b1, b2 = betas, m' = b1 m + (1 - b1) g and v' = b2 v + (1 - b2) g^2, it is m' / sqrt(v' + epsilon), as in the
    authors' code (princeton-nlp/LESS, `obtain_gradients_with_adam`), with which the published results were made. The
    paper has Adam's own update, (m' / (1 - b1^t)) / (sqrt(v' / (1 - b2^t)) + epsilon). Without bias correction all
    entries are scaled alike, which does not matter to cosines; epsilon inside the root does: entries whose gradients
    are below sqrt(epsilon), 1e-4, shrink instead of counting like the others.

    The step is downhill along the negative of what is returned, as with a gradient.

    Args:
        gradient: g, of the loss of each record, records x outputs x inputs, or of one record.
        average: m, exp_avg of the same weights, outputs x inputs.
        average_squared: v, exp_avg_sq.
        betas: of the optimiser.
        epsilon: of the optimiser.
    """
    first, second = betas
    average = first * average + (1 - first) * gradient
    average_squared = second * average_squared + (1 - second) * gradient.square()
    return average / (average_squared + epsilon).sqrt()
