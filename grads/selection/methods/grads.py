"""`grads`: GrADS in its three-factor form, representative records that are diverse and unlike each other.

    score(i) = w_rep R(rep_i) + w_div R(div_i) - w_sim max cosine(i, j), j among those already chosen

chosen greedily, with R = rank / N (average ranks for ties).

Certain: what is known of the paper (arXiv 2511.08620) names the statistics of the gradients of input embedding and LM
head after a preliminary epoch, content diversity, similarity reduction, and weighted coefficients; it gives neither
formula nor coefficients.

Ours: the formula, and everything below.

- rep: mean of the one-dimensional log-densities of the layers' `statistics`, by default log l2, log max|g| and the
  asymmetry (max + min) / (max - min) of each matrix. The four that a digest of the paper names are there: `[max, min,
  mean, std]`, in units of the layer's mean standard deviation. They are no default since over the head the mean is 0
  and the standard deviation l2 / sqrt(V d), by identity. A column that is constant, or a straight line of another, is
  dropped, for it would count nothing or one thing twice.
- div: 1 - mean cosine to the 10 nearest neighbours, by the mean last hidden states of the untrained model, not centred,
  or by the embeddings of a sentence encoder.
- weights 1, 0.5, 0.5.
- More than 5,000 records have their densities estimated on a grid, and more than 20,000 their neighbours found by an
  index, which may miss some, unless `exact`.

Other readings of the same texts are switches, all of them off by default and ours:

- `magnitude`: a term w R(sum of the layers' l2 norms), the largest gradients first. The abstract wants the records that
  "contribute the most to the model's learning process"; readers of the paper warn that it is not the largest gradients.
- `diversity_measure`: the paper is said to have a content diversity loss. `mean_distance` and `log_det` are diversities
  of the subset, not of the record: div is then what a record adds to it, no rank. For `mean_distance` that is its mean
  1 - cosine to those chosen (before there are any, to all records), for `log_det` the increment of log det(I + 10 K), K
  the cosines of those chosen, in units of that of a record unlike all others. They cost N d steps for each record kept.
- `content: gradients`: diversity and similarity by the projected gradients of the adapter, at `point`.
- `layers: [weights]`: the norm over all weights of the decoder's linear layers where all weights are trained; of it
  there is log l2 alone.
- `cut: score`: `ratio: auto` chooses all records, and keeps those before the first whose score, as it was chosen, is
  below the mean of all. By default (`norms`) it counts combined norms near their mean, whatever ranks.

Where the gradients are taken (`point`), of which layers, and what embeds the content (`encoder`) are parameters, too.
Which readings choose the same is in the table `overlap` of `config/ablation_grads.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import (
    Content,
    Cut,
    NormLayer,
    NormLayers,
    Point,
    check_content,
    content,
    gradient_measures,
    once,
    rank_share,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from grads.selection.algorithms.spread import SetMeasure
    from grads.signals.vectors import Vectors

# A column that varies less is rounding of float32; all columns are logarithms or ratios, so of scale one.
CONSTANT = 1e-6
# Two columns whose squared correlation is nearer to one than this are one column.
IDENTITY = 1e-9

Statistic = Literal["log_l2", "log_max_abs", "asymmetry", "max", "min", "mean", "std"]
Statistics = Annotated[list[Statistic], Field(min_length=1), AfterValidator(once("statistic"))]
USUAL: tuple[Statistic, ...] = ("log_l2", "log_max_abs", "asymmetry")


class Grads(Parameters):
    """Parameters of `grads`; the defaults are ours."""

    representativeness: float = Field(1.0, ge=0, description="Weight of the gradient statistics' density.")
    diversity: float = Field(0.5, ge=0, description="Weight of the distance to the nearest neighbours.")
    similarity: float = Field(0.5, ge=0, description="Weight of the largest cosine to a chosen record, subtracted.")
    magnitude: float = Field(0.0, ge=0, description="Weight of the gradient's norm, the largest first.")
    statistics: Statistics = Field(list(USUAL), description="Statistics of a layer's gradient whose density counts.")
    diversity_measure: Literal["neighbours", "mean_distance", "log_det"] = Field(
        "neighbours", description="Diversity of the record among its neighbours, or what it adds to that of the subset."
    )
    neighbours: int = Field(10, ge=1, description="Nearest neighbours of the diversity; all others if fewer.")
    exact: bool = Field(False, description="Densities and neighbours pair by pair however many records there are.")
    point: Point = Field("warm", description="Whose gradients: after the preliminary epoch, untrained, or during it.")
    layers: NormLayers = Field(
        ["embedding", "head"], description="Layers whose gradients count; `weights` where all are trained."
    )
    content: Content = Field("hidden", description="What diversity and similarity compare, where there is no encoder.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; `content` if none.")
    cut: Cut = Field("norms", description="What `ratio: auto` counts: norms near their mean, or scores above theirs.")

    @model_validator(mode="after")
    def _fit_together(self) -> Grads:
        if not (self.representativeness or self.magnitude or self.compares):
            raise ValueError("all three weights are 0, and magnitude too: raise one, so that something counts")
        if self.layers == ["weights"] and "log_l2" not in self.statistics:
            raise ValueError("of the layer 'weights' there is log_l2 alone: add it to statistics")
        check_content(self.encoder, self.content, self.point)
        return self

    @property
    def compares(self) -> bool:
        """Whether records are compared with each other."""
        return bool(self.diversity or self.similarity)

    @property
    def set_measure(self) -> SetMeasure | None:
        """The diversity of the subset that counts, if one does."""
        return self.diversity_measure if self.diversity and self.diversity_measure != "neighbours" else None


def needs(parameters: Grads) -> Needs:
    """Return the stores needed: gradient statistics, and the vectors to compare unless both of their weights are 0."""
    stores: dict[str, frozenset[str]] = {}
    if parameters.representativeness or parameters.magnitude:
        stores[parameters.point] = gradient_measures(parameters.layers)
    if parameters.compares:
        store, kind = content(parameters.encoder, parameters.content, parameters.point)
        stores[store] = stores.get(store, frozenset()) | {kind}
    return Needs(stores)


def select(inputs: Inputs, parameters: Grads) -> Choice:
    """Choose greedily; a chosen record's score is the one it was chosen by, the others' the one at the end."""
    factors = measured(inputs, parameters)
    score, order = factors.chosen(inputs.count)
    return Choice(score, order, factors.notes)


@dataclass(frozen=True)
class Factors:
    """What the choice is made from.

    Args:
        fixed: N numbers, the part of the score that does not depend on what is chosen.
        directions: N x d of length 1, by which records are compared; N x 1 of zeros where they are not.
        parameters: of the method.
        notes: on the statistics.
    """

    fixed: np.ndarray
    directions: np.ndarray
    parameters: Grads
    notes: dict[str, object]

    def chosen(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return N scores and the order of `count` records."""
        from grads.selection.algorithms.greedy import lazy_greedy
        from grads.selection.algorithms.spread import spread_greedy

        similarity = self.parameters.similarity
        measure = self.parameters.set_measure
        if measure is not None:
            diversity = self.parameters.diversity
            return spread_greedy(self.fixed, self.directions, measure, diversity, similarity, count)
        return lazy_greedy(self.fixed, self.directions, self.directions, similarity, count)


def measured(inputs: Inputs, parameters: Grads) -> Factors:
    """Return the factors of N records."""
    import numpy as np

    from grads.selection.algorithms.neighbours import unit_matrix
    from grads.selection.gradient_signals import logarithms, magnitude

    fixed = np.zeros(len(inputs.pool))
    notes: dict[str, object] = {}
    if parameters.representativeness:
        statistics = inputs.signals[parameters.point]
        rep, notes = representativeness(statistics, parameters.layers, parameters.exact, parameters.statistics)
        fixed += parameters.representativeness * rank_share(rep)
    if parameters.magnitude:
        norms = magnitude(inputs.signals[parameters.point], parameters.layers, "l2", "sum")
        fixed += parameters.magnitude * rank_share(logarithms(norms))
    directions = np.zeros((len(fixed), 1))
    if parameters.compares:
        store, kind = content(parameters.encoder, parameters.content, parameters.point)
        vectors = inputs.features[store][kind]
        if parameters.diversity and parameters.set_measure is None:
            fixed += parameters.diversity * rank_share(diversity(vectors, parameters.neighbours, parameters.exact))
        if parameters.similarity or parameters.set_measure:
            directions = unit_matrix(vectors)
    return Factors(fixed, directions, parameters, notes)


def representativeness(
    statistics: pd.DataFrame, layers: Sequence[NormLayer], exact: bool = False, names: Sequence[Statistic] = USUAL
) -> tuple[np.ndarray, dict[str, object]]:
    """Return N mean log-densities of the usable columns, and notes on which were used."""
    import numpy as np

    from grads.selection.algorithms.density import density

    columns, zero = magnitude_columns(statistics, layers, names)
    used, dropped = usable_columns(columns)
    logs = [np.log(density(columns[name], exact)) for name in used]
    notes = {"columns": used, "dropped_columns": dropped, "records_without_gradient": zero}
    return (np.mean(logs, axis=0) if logs else np.zeros(len(statistics))), notes


def magnitude_columns(
    statistics: pd.DataFrame, layers: Sequence[NormLayer], names: Sequence[Statistic] = USUAL
) -> tuple[dict[str, np.ndarray], int]:
    """Return the columns that are compared, one a layer and statistic, and how many records' gradients vanish.

    Such a record (its answer is certain to the last digit of float32) takes the smallest magnitude of the others, and
    asymmetry 0, since it has no logarithm. Of the layer `weights` there is log_l2 alone.
    """
    columns: dict[str, np.ndarray] = {}
    for layer in layers:
        for name in names:
            if layer != "weights" or name == "log_l2":
                columns[f"{layer}_{name}"] = _statistic(statistics, layer, name)
    vanishes = (statistics[[f"{layer}_l2" for layer in layers]] == 0).any(axis=1)
    return columns, int(vanishes.sum())


def _statistic(statistics: pd.DataFrame, layer: NormLayer, name: Statistic) -> np.ndarray:
    import numpy as np

    from grads.selection.gradient_signals import logarithms

    def column(kind: str) -> np.ndarray:
        return statistics[f"{layer}_{kind}"].to_numpy(dtype=float)

    if name == "log_l2":
        return logarithms(column("l2"))
    if name in ("log_max_abs", "asymmetry"):
        high = column("max")
        low = column("min")
        spread = high - low
        if name == "log_max_abs":
            return logarithms(np.maximum(high, -low))
        return np.where(spread > 0, (high + low) / np.where(spread > 0, spread, 1.0), 0.0)
    return column(name) / (float(column("std").mean()) or 1.0)


def usable_columns(columns: dict[str, np.ndarray]) -> tuple[list[str], dict[str, str]]:
    """Return the names of the columns that say something of their own, and why the others do not."""
    import numpy as np

    used: list[str] = []
    dropped: dict[str, str] = {}
    for name, values in columns.items():
        if np.ptp(values) <= CONSTANT:
            dropped[name] = "constant"
            continue
        twins = [other for other in used if 1 - np.corrcoef(values, columns[other])[0, 1] ** 2 <= IDENTITY]
        if twins:
            dropped[name] = f"a straight line of {twins[0]}"
        else:
            used.append(name)
    return used, dropped


def diversity(vectors: Vectors, neighbours: int, exact: bool) -> np.ndarray:
    """Return 1 - mean cosine of each vector to its nearest others; 0 for a record that has no others."""
    import numpy as np

    from grads.selection.algorithms.neighbours import nearest

    cosines, _ = nearest(vectors, neighbours, exact)
    return 1 - cosines.mean(axis=1) if cosines.shape[1] else np.zeros(len(cosines))


def automatic_count(parameters: Grads) -> Callable[[Inputs], int] | None:
    """Return what counts for `ratio: auto`: the layers' norms, or scores; None where there is neither."""
    if parameters.cut == "score":
        return lambda inputs: _count_by_score(measured(inputs, parameters))
    if not parameters.representativeness and not parameters.magnitude:
        return None

    def count(inputs: Inputs) -> int:
        from grads.selection.gradient_signals import count_near_the_mean, magnitude

        return count_near_the_mean(magnitude(inputs.signals[parameters.point], parameters.layers, "l2", "sum"))

    return count


def _count_by_score(factors: Factors) -> int:
    from grads.selection.gradient_signals import count_to_the_mean

    score, order = factors.chosen(len(factors.fixed))
    return count_to_the_mean(score[order])


METHOD = Method(
    name="grads",
    title="GrADS",
    source="arXiv 2511.08620, abstract and digest; formula and switches ours",
    select=select,
    parameters=Grads,
    needs=needs,
    automatic_count=automatic_count,
)
