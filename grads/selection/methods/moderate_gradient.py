"""`moderate_gradient`: Moderate-G_i, records of usual loss whose gradient norm is closest to the median.

Large gradients pull an aligned model back towards what it was before, small ones teach little. Records whose loss lies
within one standard deviation of the mean are kept as candidates; of those, as many as asked with |G_i - m| smallest, m
the median norm of the candidates.

Certain: the band, the median, the response's tokens alone, the trainable LoRA parameters, the weights as training finds
them, and that the number asked for counts against the whole batch, floor(rho |B|) in Algorithm 1. All of this is known
from readers' notes on the full text, not from the text itself.

Ours: the batch is the whole training set, which the paper allows, and the number is rounded as for every method. At
`base` a LoRA adapter's B is 0, so that its gradient is that of B alone. If fewer records lie in the band than are asked
for, fewer are kept. With `counted: band` the ratio is one of the candidates, as one reader has it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grads.config.ratios import keep_count
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import NormLayers, Point, gradient_measures


class ModerateGradient(Parameters):
    """Parameters of `moderate_gradient`."""

    point: Point = Field("base", description="Whose losses and gradients: untrained, after one epoch, or during it.")
    layers: NormLayers = Field(
        ["adapter"], description="Layers whose gradient is measured; `weights` where all are trained."
    )
    band: float = Field(1.0, gt=0, description="Half the width of the band of losses, in standard deviations.")
    counted: Literal["pool", "band"] = Field("pool", description="What the ratio is a share of.")


def needs(parameters: ModerateGradient) -> Needs:
    """Return the need of losses and gradient norms, which one pass takes."""
    return Needs({parameters.point: gradient_measures(parameters.layers) | {"losses"}})


def select(inputs: Inputs, parameters: ModerateGradient) -> Choice:
    """Choose by minus the distance to the median norm; records out of the band stand below and are not chosen."""
    import numpy as np

    from grads.selection.gradient_signals import below, gradient_norm, highest

    statistics = inputs.signals[parameters.point]
    losses = statistics["response_nll"].to_numpy(dtype=float)
    # A rounding's width more, so that equal losses, whose deviation is rounding, all lie in the band.
    outside = np.abs(losses - losses.mean()) > parameters.band * losses.std() + 1e-9
    candidates = int((~outside).sum())
    norms = gradient_norm(statistics, parameters.layers)
    distance = np.abs(norms - np.median(norms[~outside])) if candidates else np.zeros(len(norms))
    # A loss that is no number makes the score none.
    score = below(-distance + 0 * losses, outside)
    count = keep_count(inputs.ratio, candidates) if parameters.counted == "band" else inputs.count
    return Choice(score, highest(score, ~outside, count), {"in_band": candidates})


METHOD = Method(
    name="moderate_gradient",
    title="Moderate gradient",
    source="arXiv 2604.17215, Algorithm 1, as read by third parties",
    select=select,
    parameters=ModerateGradient,
    needs=needs,
    may_fall_short=True,
)
