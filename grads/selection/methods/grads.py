"""`grads`: GrADS in its three-factor form, representative records that are diverse and unlike each other.

    score(i) = w_rep R(rep_i) + w_div R(div_i) - w_sim max cosine(i, j), j among those already chosen

chosen greedily, with R = rank / N (average ranks for ties).

Certain: what is known of the paper (arXiv 2511.08620) names the statistics of the gradients of input embedding and LM
head after a preliminary epoch, content diversity, similarity reduction, and weighted coefficients; it gives neither
formula nor coefficients.

Ours: the formula, and everything below.

- rep: mean of the one-dimensional log-densities of log l2, log max|g| and the asymmetry (max + min) / (max - min) of
  each matrix. Mean and standard deviation are left out: over the head they are 0 and l2 / sqrt(V d) by identity. A
  column that is constant, or a straight line of another, is dropped, for it would count nothing or one thing twice.
- div: 1 - mean cosine to the 10 nearest neighbours, by the mean last hidden states of the untrained model, not centred,
  or by the embeddings of a sentence encoder.
- weights 1, 0.5, 0.5.
- More than 5,000 records have their densities estimated on a grid, and more than 20,000 their neighbours found by an
  index, which may miss some, unless `exact`.

Where the gradients are taken (`point`), of which layers, and what embeds the content (`encoder`) are parameters, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import Layer, Layers, Point, content, gradient_measures

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from grads.signals.vectors import Vectors

# A column that varies less is rounding of float32; all columns are logarithms or ratios, so of scale one.
CONSTANT = 1e-6
# Two columns whose squared correlation is nearer to one than this are one column.
IDENTITY = 1e-9
# Decimals of log-densities and distances that count; what lies below is rounding, and must not decide between equals.
DECIMALS = 6


class Grads(Parameters):
    """Parameters of `grads`; the defaults are ours."""

    representativeness: float = Field(1.0, ge=0, description="Weight of the gradient statistics' density.")
    diversity: float = Field(0.5, ge=0, description="Weight of the distance to the nearest neighbours.")
    similarity: float = Field(0.5, ge=0, description="Weight of the largest cosine to a chosen record, subtracted.")
    neighbours: int = Field(10, ge=1, description="Nearest neighbours of the diversity; all others if fewer.")
    exact: bool = Field(False, description="Densities and neighbours pair by pair however many records there are.")
    point: Point = Field("warm", description="Whose gradients: after the preliminary epoch, untrained, or during it.")
    layers: Layers = Field(["embedding", "head"], description="Layers whose gradients count.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; hidden states if none.")

    @model_validator(mode="after")
    def _something_counts(self) -> Grads:
        if not (self.representativeness or self.diversity or self.similarity):
            raise ValueError("all three weights are 0, so that nothing counts: raise representativeness, for one")
        return self


def needs(parameters: Grads) -> Needs:
    """Return the stores needed: gradient statistics, and content embeddings unless both of their weights are 0."""
    stores: dict[str, frozenset[str]] = {}
    if parameters.representativeness:
        stores[parameters.point] = gradient_measures(parameters.layers)
    if parameters.diversity or parameters.similarity:
        store, measure = content(parameters.encoder)
        stores[store] = stores.get(store, frozenset()) | {measure}
    return Needs(stores)


def select(inputs: Inputs, parameters: Grads) -> Choice:
    """Choose greedily; a chosen record's score is the one it was chosen by, the others' the one at the end."""
    import numpy as np

    from grads.selection.algorithms.greedy import lazy_greedy
    from grads.selection.algorithms.neighbours import unit_matrix

    fixed = np.zeros(len(inputs.pool))
    notes: dict[str, object] = {}
    if parameters.representativeness:
        rep, notes = representativeness(inputs.signals[parameters.point], parameters.layers, parameters.exact)
        fixed += parameters.representativeness * rank_share(rep)
    directions = np.zeros((len(fixed), 1))
    if parameters.diversity or parameters.similarity:
        store, kind = content(parameters.encoder)
        vectors = inputs.features[store][kind]
        if parameters.diversity:
            fixed += parameters.diversity * rank_share(diversity(vectors, parameters.neighbours, parameters.exact))
        if parameters.similarity:
            directions = unit_matrix(vectors)
    score, order = lazy_greedy(fixed, directions, directions, parameters.similarity, inputs.count)
    return Choice(score, order, notes)


def representativeness(
    statistics: pd.DataFrame, layers: list[Layer], exact: bool = False
) -> tuple[np.ndarray, dict[str, object]]:
    """Return N mean log-densities of the usable columns, and notes on which were used."""
    import numpy as np

    from grads.selection.algorithms.density import density

    columns, zero = magnitude_columns(statistics, layers)
    used, dropped = usable_columns(columns)
    logs = [np.log(density(columns[name], exact)) for name in used]
    notes = {"columns": used, "dropped_columns": dropped, "records_without_gradient": zero}
    return (np.mean(logs, axis=0) if logs else np.zeros(len(statistics))), notes


def magnitude_columns(statistics: pd.DataFrame, layers: list[Layer]) -> tuple[dict[str, np.ndarray], int]:
    """Return the columns that are compared, three a layer, and the number of records whose gradient vanishes.

    Such a record (its answer is certain to the last digit of float32) takes the smallest magnitude of the others, and
    asymmetry 0, since it has no logarithm.
    """
    import numpy as np

    from grads.selection.gradient_signals import logarithms

    columns: dict[str, np.ndarray] = {}
    for matrix in layers:
        l2, high, low = (statistics[f"{matrix}_{name}"].to_numpy(dtype=float) for name in ("l2", "max", "min"))
        largest = np.maximum(high, -low)
        spread = high - low
        columns[f"{matrix}_log_l2"] = logarithms(l2)
        columns[f"{matrix}_log_max_abs"] = logarithms(largest)
        columns[f"{matrix}_asymmetry"] = np.where(spread > 0, (high + low) / np.where(spread > 0, spread, 1.0), 0.0)
    vanishes = (statistics[[f"{layer}_l2" for layer in layers]] == 0).any(axis=1)
    return columns, int(vanishes.sum())


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


def rank_share(values: np.ndarray) -> np.ndarray:
    """Return rank / N of each value, 1 for the highest; values equal to six decimals share their average rank."""
    import numpy as np
    from scipy.stats import rankdata

    return rankdata(np.round(values, DECIMALS)) / len(values)


def diversity(vectors: Vectors, neighbours: int, exact: bool) -> np.ndarray:
    """Return 1 - mean cosine of each vector to its nearest others; 0 for a record that has no others."""
    import numpy as np

    from grads.selection.algorithms.neighbours import nearest

    cosines, _ = nearest(vectors, neighbours, exact)
    return 1 - cosines.mean(axis=1) if cosines.shape[1] else np.zeros(len(cosines))


def automatic_count(parameters: Grads) -> Callable[[Inputs], int] | None:
    """Return what counts for `ratio: auto`, by the sum of the layers' l2 norms; None where no gradient is read."""
    if not parameters.representativeness:
        return None

    def count(inputs: Inputs) -> int:
        from grads.selection.gradient_signals import count_near_the_mean, magnitude

        return count_near_the_mean(magnitude(inputs.signals[parameters.point], parameters.layers, "l2", "sum"))

    return count


METHOD = Method(
    name="grads",
    title="GrADS",
    source="arXiv 2511.08620, abstract and digest; formula and switches ours",
    select=select,
    parameters=Grads,
    needs=needs,
    automatic_count=automatic_count,
)
