"""`grads_density`: GrADS as independent readers describe it, the densest records by gradient magnitude.

Certain: the gradient norms of input embedding and LM head after a preliminary epoch are combined, a kernel density is
estimated, and the records at high density are kept, not those with large gradients. Several readers of the paper say
so; it states neither the reduction of a gradient to a number nor the combination of the two.

Ours: those two are parameters, whose defaults (l2 norm, sum) are ours, as are Gaussian kernel, Scott's bandwidth and
taking the highest densities instead of sampling.

Combinations: `sum`; `zsum`, of z-scores; `product`; `joint`, the density in as many dimensions as there are layers;
`embedding` or `head` alone. The reduction `vector` takes (max, min, mean, std) of each layer and their joint density.

Rules, with p the density and s the combined number (all ours but the first):
- `density`: the highest p.
- `sample`: without replacement, each draw proportional to p among those left, as the largest of log p + Gumbel noise
  (P. S. Efraimidis and P. G. Spirakis, Information Processing Letters 97, 2006, in the form of the Gumbel trick). The
  noise depends on seed and id alone.
- `median`: closest to the median of s, the smallest |s - m|, as `moderate_gradient` has it.
- `central`: the middle of the distribution of s, by rank: the smallest |F(s) - 1/2|, F = (average rank - 1/2) / N.
- `highest`: the largest s, a negative control.

Densities of more than 5,000 records are estimated on a grid where they have one or two dimensions, unless `exact`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from grads.methods.contract import Choice, Inputs, Method, Needs, Parameters
from grads.methods.signals import Combination, Layers, Point, Reduction, gradient_measures
from grads.study.seeds import gumbel, own_seed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


Rule = Literal["density", "sample", "median", "central", "highest"]


class GradsDensity(Parameters):
    """Parameters of `grads_density`; the defaults are ours."""

    point: Point = Field("warm", description="Whose gradients: after the preliminary epoch, untrained, or during it.")
    layers: Layers = Field(["embedding", "head"], description="Layers whose gradients count.")
    reduction: Reduction = Field("l2", description="How a layer's gradient becomes a number.")
    combination: Combination = Field("sum", description="How the layers' numbers become one.")
    rule: Rule = Field("density", description="Which records are kept.")
    exact: bool = Field(False, description="Densities pair by pair however many records there are; takes N^2 steps.")

    @model_validator(mode="after")
    def _fit_together(self) -> GradsDensity:
        if self.combination in ("embedding", "head") and self.combination not in self.layers:
            raise ValueError(f"combination '{self.combination}' is not among the layers {self.layers}: add it there")
        if self.reduction == "vector" and self.combination in ("sum", "zsum", "product"):
            raise ValueError("reduction 'vector' gives no single number: set combination to joint, embedding or head")
        if self.rule in ("median", "central", "highest") and not self.one_number:
            raise ValueError(f"rule '{self.rule}' needs one number a record: choose another reduction or combination")
        return self

    @property
    def one_number(self) -> bool:
        """Whether each record has one combined number, and not a point in several dimensions."""
        return self.reduction != "vector" and self.combination != "joint"


def needs(parameters: GradsDensity) -> Needs:
    """Return the need of the gradient statistics."""
    return Needs({parameters.point: gradient_measures(parameters.layers, parameters.reduction == "mean_abs")})


def select(inputs: Inputs, parameters: GradsDensity) -> Choice:
    """Choose by the rule; the score is density, log-density with noise, minus distance (in rank, too), or magnitude."""
    import numpy as np

    statistics = inputs.signals[parameters.point]
    if parameters.rule == "highest":
        return Choice(combined(statistics, parameters))
    if parameters.rule == "median":
        number = combined(statistics, parameters)
        return Choice(-np.abs(number - np.median(number)))
    if parameters.rule == "central":
        from scipy.stats import rankdata

        # |F - 1/2| in whole numbers over 2 N, so that ranks equally far from the middle are equal.
        twice = np.rint(2 * rankdata(combined(statistics, parameters)))
        return Choice(-np.abs(twice - (len(twice) + 1)) / (2 * len(twice)))
    dense = _density(statistics, parameters)
    if parameters.rule == "density":
        return Choice(dense)
    seed = own_seed(inputs.seed, "grads_density")
    return Choice(np.log(dense) + np.array([gumbel(id_, seed) for id_ in inputs.pool["id"]]))


def combined(statistics: pd.DataFrame, parameters: GradsDensity) -> np.ndarray:
    """Return the combined number of each of N records."""
    from grads.methods.signals import magnitude

    return magnitude(statistics, parameters.layers, parameters.reduction, parameters.combination)


def _density(statistics: pd.DataFrame, parameters: GradsDensity) -> np.ndarray:
    from grads.methods.density import density, joint_density
    from grads.methods.signals import points_of

    if parameters.one_number:
        return density(combined(statistics, parameters), parameters.exact)
    points = points_of(statistics, parameters.layers, parameters.reduction, parameters.combination)
    return joint_density(points, parameters.exact)


def automatic_count(parameters: GradsDensity) -> Callable[[Inputs], int] | None:
    """Return what counts for `ratio: auto`, where the combined number is a magnitude, which has a logarithm."""
    if not parameters.one_number or parameters.combination == "zsum":
        return None

    def count(inputs: Inputs) -> int:
        from grads.methods.signals import count_near_the_mean

        return count_near_the_mean(combined(inputs.signals[parameters.point], parameters))

    return count


METHOD = Method(
    "grads_density",
    "GrADS (density)",
    "arXiv 2511.08620, as described by third parties; switches ours",
    select,
    GradsDensity,
    needs,
    automatic_count=automatic_count,
)
