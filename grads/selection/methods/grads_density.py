"""`grads_density`: GrADS as independent readers describe it, the densest records by gradient magnitude.

Certain: the gradient norms of input embedding and LM head after a preliminary epoch are combined, a kernel density is
estimated, and the records at high density are kept, not those with large gradients. Several readers of the paper say
so; it states neither the reduction of a gradient to a number nor the combination of the two, nor on which scale and
with which bandwidth the density is estimated.

Ours: those are parameters, whose defaults (l2 norm, sum, logarithms, Scott's rule) are ours, as are the Gaussian kernel
and taking the highest densities instead of sampling.

**At small ratios scale and bandwidth decide.** The densest 5 % lie around one mode, which is elsewhere on another scale
or with another bandwidth. Simulated with the lengths of real answers (norms that fall with the root of the length,
times lognormal noise), `raw` and `log` have none of their 5 % in common, and 60 to 80 % of their 50 %; with double the
bandwidth 0 to 5 % (`raw`) and 10 to 75 % (`log`) of a choice of 5 % stay, of 50 % nearly all. Logarithms are the
default since gradient norms are ratios: they differ by factors, as the lengths of answers do, and `ratio: auto` and the
method `grads` take logarithms too. Earlier versions had `raw`, so every small subset of this method is another now.
What a choice owes to its bandwidth is in the selection's notes: `kept_at_half_bandwidth` and `kept_at_double_bandwidth`
are the shares of the kept records that would be kept with half and with double of it. Where little stays, the choice
says more about the bandwidth than about GrADS.

Combinations: `sum`; `zsum`, of z-scores; `product`; `joint`, the density in as many dimensions as there are layers;
`embedding` or `head` alone. The reduction `vector` takes (max, min, mean, std) of each layer and their joint density.
On the scale `log` it is the combined number that has its logarithm taken, with `zsum` and `joint` that of each layer. A
gradient of 0, which has none, takes that of the smallest other one, and is counted in the notes. `vector` has numbers
below 0 and is on the scale `raw` always.

Rules, with p the density and s the combined number (all ours but the first):
- `density`: the highest p.
- `sample`: without replacement, each draw proportional to p among those left, as the largest of log p + Gumbel noise
  (P. S. Efraimidis and P. G. Spirakis, Information Processing Letters 97, 2006, in the form of the Gumbel trick). The
  noise depends on seed and id alone.
- `median`: closest to the median of s, the smallest |s - m|, as `moderate_gradient` has it.
- `central`: the middle of the distribution of s, by rank: the smallest |F(s) - 1/2|, F = (average rank - 1/2) / N.
- `highest`: the largest s, a negative control.

The last three estimate no density, and take s as it is: they have neither scale nor bandwidth.

With `similarity` above 0, w, the density form reduces redundancy, as the digest of the paper wants it: records are
chosen one by one by R - w max cosine(i, j), j among those already chosen, R = rank / N of the rule's score. They are
compared by the mean last hidden states of the untrained model, by their projected gradients (`content: gradients`), or
by the embeddings of an encoder. It is 0 by default, and ours.

The layer `weights`, the norm over all weights of the decoder's linear layers where all weights are trained, has the
reduction `l2` alone. `cut: score` has `ratio: auto` choose all records, and keep those before the first whose score, as
it was chosen, is below the mean of all, where `norms` counts combined norms near their mean, whatever ranks.

Densities of more than 5,000 records are estimated on a grid where they have one or two dimensions, unless `exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field, model_validator

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import (
    Combination,
    Content,
    Cut,
    NormLayers,
    Point,
    Reduction,
    check_content,
    content,
    gradient_measures,
)
from grads.study.seeds import gumbel, own_seed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from grads.selection.algorithms.density import Bandwidth

DensityRule = Literal["density", "sample"]
NumberRule = Literal["median", "central", "highest"]
Rule = Literal[DensityRule, NumberRule]
Scale = Literal["raw", "log"]


class GradsDensity(Parameters):
    """Parameters of `grads_density`; the defaults are ours."""

    point: Point = Field("warm", description="Whose gradients: after the preliminary epoch, untrained, or during it.")
    layers: NormLayers = Field(
        ["embedding", "head"], description="Layers whose gradients count; `weights` where all are trained."
    )
    reduction: Reduction = Field("l2", description="How a layer's gradient becomes a number.")
    combination: Combination = Field("sum", description="How the layers' numbers become one.")
    scale: Scale = Field(
        "log",
        description="Whether the density is that of logarithms. Where none can be taken, or no density is estimated, "
        "`raw` is the only one, and the default.",
    )
    bandwidth: float | None = Field(
        None,
        gt=0,
        description="Width of the kernel, in standard deviations on the scale (`bw_method` of SciPy); null: Scott's "
        "rule, N^(-1/(d+4)) in d dimensions.",
    )
    rule: Rule = Field("density", description="Which records are kept.")
    similarity: float = Field(0.0, ge=0, description="Weight of the largest cosine to a chosen record, subtracted.")
    content: Content = Field("hidden", description="What the similarity compares, where there is no encoder.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; `content` if none.")
    cut: Cut = Field("norms", description="What `ratio: auto` counts: norms near their mean, or scores above theirs.")
    exact: bool = Field(False, description="Densities pair by pair however many records there are; takes N^2 steps.")

    @model_validator(mode="before")
    @classmethod
    def _raw_where_there_is_no_other_scale(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and (given.get("reduction") == "vector" or given.get("rule") in NUMBER_RULES):
            return {"scale": "raw", **given}
        return given

    @model_validator(mode="after")
    def _fit_together(self) -> GradsDensity:
        if self.combination in ("embedding", "head") and self.combination not in self.layers:
            raise ValueError(f"combination '{self.combination}' is not among the layers {self.layers}: add it there")
        if self.reduction == "vector" and self.combination in ("sum", "zsum", "product"):
            raise ValueError("reduction 'vector' gives no single number: set combination to joint, embedding or head")
        if self.rule in NUMBER_RULES:
            self._check_numbers()
        if self.reduction == "vector" and self.scale == "log":
            raise ValueError("reduction 'vector' has numbers below 0, which have no logarithm: set scale to raw")
        if "weights" in self.layers and self.reduction != "l2":
            raise ValueError(
                f"of the layer 'weights' there is the norm alone, no '{self.reduction}': set reduction to l2"
            )
        check_content(self.encoder, self.content, self.point)
        return self

    def _check_numbers(self) -> None:
        if not self.one_number:
            raise ValueError(f"rule '{self.rule}' needs one number a record: choose another reduction or combination")
        if self.scale == "log":
            raise ValueError(f"rule '{self.rule}' takes the numbers as they are: remove scale, or set it to raw")
        if self.bandwidth is not None:
            raise ValueError(f"rule '{self.rule}' estimates no density: remove bandwidth")

    @property
    def one_number(self) -> bool:
        """Whether each record has one combined number, and not a point in several dimensions."""
        return self.reduction != "vector" and self.combination != "joint"


NUMBER_RULES: tuple[NumberRule, ...] = get_args(NumberRule)


def needs(parameters: GradsDensity) -> Needs:
    """Return the need of the gradient statistics, and of what records are compared by if they are."""
    stores: dict[str, frozenset[str]] = {
        parameters.point: gradient_measures(parameters.layers, parameters.reduction == "mean_abs")
    }
    if parameters.similarity:
        store, kind = content(parameters.encoder, parameters.content, parameters.point)
        stores[store] = stores.get(store, frozenset()) | {kind}
    return Needs(stores)


def select(inputs: Inputs, parameters: GradsDensity) -> Choice:
    """Choose by the rule, and by similarity where it counts; note how much of it another bandwidth would choose."""
    directions = compared(inputs, parameters)
    ruled, notes = by_rule(inputs, parameters)
    score, order = chosen(ruled, directions, parameters.similarity, inputs.count)
    if parameters.rule not in NUMBER_RULES:
        kept = set(order.tolist())
        for name, times in (("half", 0.5), ("double", 2.0)):
            other, _ = by_rule(inputs, parameters, times)
            _, others = chosen(other, directions, parameters.similarity, inputs.count)
            notes[f"kept_at_{name}_bandwidth"] = round(len(kept & set(others.tolist())) / len(kept), 4)
    return Choice(score, order, notes)


def compared(inputs: Inputs, parameters: GradsDensity) -> np.ndarray | None:
    """Return N x d directions by which records are compared, None where they are not."""
    from grads.selection.algorithms.neighbours import unit_matrix

    if not parameters.similarity:
        return None
    store, kind = content(parameters.encoder, parameters.content, parameters.point)
    return unit_matrix(inputs.features[store][kind])


def chosen(
    ruled: np.ndarray, directions: np.ndarray | None, similarity: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return N scores and the order of `count` records, by the rule's score and by similarity.

    Args:
        ruled: N scores of the rule.
        directions: as `compared` returns them.
        similarity: its weight.
        count: at most N.
    """
    import numpy as np
    from scipy.stats import rankdata

    from grads.selection.algorithms.greedy import lazy_greedy

    if directions is None:
        return ruled, np.argsort(-ruled, kind="stable")[:count]
    # Densities have units, so that no decimals can be cut.
    return lazy_greedy(rankdata(ruled) / len(ruled), directions, directions, similarity, count)


def by_rule(inputs: Inputs, parameters: GradsDensity, times: float = 1.0) -> tuple[np.ndarray, dict[str, Any]]:
    """Return density, log-density with noise, minus distance (in rank, too), or magnitude, N; and notes.

    `times` is what the bandwidth is multiplied by.
    """
    import numpy as np

    from grads.selection.algorithms.density import Bandwidth

    statistics = inputs.signals[parameters.point]
    if parameters.rule == "highest":
        return combined(statistics, parameters), {}
    if parameters.rule == "median":
        number = combined(statistics, parameters)
        return -np.abs(number - np.median(number)), {}
    if parameters.rule == "central":
        from scipy.stats import rankdata

        # |F - 1/2| in whole numbers over 2 N, so that ranks equally far from the middle are equal.
        twice = np.rint(2 * rankdata(combined(statistics, parameters)))
        return -np.abs(twice - (len(twice) + 1)) / (2 * len(twice)), {}
    points, notes = scaled(statistics, parameters)
    dense = _density(points, parameters, Bandwidth(parameters.bandwidth, times))
    if parameters.rule == "sample":
        seed = own_seed(inputs.seed, "grads_density")
        return np.log(dense) + np.array([gumbel(id_, seed) for id_ in inputs.pool["id"]]), notes
    return dense, notes


def combined(statistics: pd.DataFrame, parameters: GradsDensity) -> np.ndarray:
    """Return the combined number of each of N records, as it is."""
    from grads.selection.gradient_signals import magnitude

    return magnitude(statistics, parameters.layers, parameters.reduction, parameters.combination)


def scaled(statistics: pd.DataFrame, parameters: GradsDensity) -> tuple[np.ndarray, dict[str, Any]]:
    """Return N x d points on the scale asked for (d = 1 where each record has one number), and notes on them."""
    import numpy as np

    from grads.selection.gradient_signals import deviations, logarithms, points_of

    layers = parameters.layers
    reduction = parameters.reduction
    how = parameters.combination
    deviating = parameters.scale == "log" and how == "zsum"
    if parameters.one_number and not deviating:
        columns = combined(statistics, parameters)[:, None]
    else:
        # Deviations from a mean may be below 0, so that the logarithms are taken before, of each layer's numbers.
        columns = points_of(statistics, layers, reduction, "joint" if deviating else how)
    if parameters.scale == "raw":
        return columns, {}
    logs = np.stack([logarithms(column) for column in columns.T])
    points = deviations(logs)[:, None] if deviating else logs.T
    return points, {"records_without_gradient": int((columns == 0).any(axis=1).sum())}


def _density(points: np.ndarray, parameters: GradsDensity, bandwidth: Bandwidth) -> np.ndarray:
    from grads.selection.algorithms.density import density, joint_density

    if parameters.one_number:
        return density(points[:, 0], parameters.exact, bandwidth)
    return joint_density(points, parameters.exact, bandwidth)


def automatic_count(parameters: GradsDensity) -> Callable[[Inputs], int] | None:
    """Return what counts for `ratio: auto`: scores, or combined numbers where they are magnitudes, with logarithms."""
    if parameters.cut == "score":
        return lambda inputs: _count_by_score(inputs, parameters)
    if not parameters.one_number or parameters.combination == "zsum":
        return None

    def count(inputs: Inputs) -> int:
        from grads.selection.gradient_signals import count_near_the_mean

        return count_near_the_mean(combined(inputs.signals[parameters.point], parameters))

    return count


def _count_by_score(inputs: Inputs, parameters: GradsDensity) -> int:
    from grads.selection.gradient_signals import count_to_the_mean

    ruled, _ = by_rule(inputs, parameters)
    score, order = chosen(ruled, compared(inputs, parameters), parameters.similarity, len(ruled))
    return count_to_the_mean(score[order])


METHOD = Method(
    name="grads_density",
    title="GrADS (density)",
    source="arXiv 2511.08620, as described by third parties; switches ours",
    select=select,
    parameters=GradsDensity,
    needs=needs,
    automatic_count=automatic_count,
)
