"""`craig`: a weighted subset whose gradients stand for all, by facility location.

Chooses S of k records to make F(S) = sum over i of max over j in S of (c - |g_i - g_j|) large, with c the largest
distance: every record should have a chosen one with nearly its gradient. The greedy algorithm reaches at least 1 - 1/e
of the largest F. A chosen record's weight is the number of records that are nearest to it; the strategy `weighted`
trains with it. Weights differ much: `effective_records` in the notes, (sum of w)^2 / sum of w^2, says how many records
of equal weight they amount to.

Certain: function, greedy algorithm and weights (B. Mirzasoleiman, J. Bilmes and J. Leskovec, ICML 2020, arXiv
1906.01827, algorithm 1).

Ours:

- g: the projected gradients of the adapter after the preliminary epoch, once, where the paper takes those of the last
  layer again and again during training.
- |.|: the Euclidean distance, as in the paper and in apricot. The implementation that papers compare with (CORDS) takes
  its square, which `distance: squared` has: of a choice of 5 % the two had 60 to 80 % in common.
- Distances between all pairs take memory and time by the square of N, so the pool is cut into random parts (as PGM,
  arXiv 2210.16892, does for gradient matching), each of which gives its share, in the order of its choice: the first of
  every part, then the second. `partitions: 1` is the paper's.
- Lazy greedy (exact), or with `approximate` stochastic greedy (B. Mirzasoleiman et al., Lazier than lazy greedy, AAAI
  2015): each choice is the best of (m / k) ln(1 / epsilon) records drawn from the m of the part that are open.

The score is the gain in F that a record was chosen by, or would bring to its part at the end, as a share of F of the
part's record that stands best for it alone.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grads.selection.algorithms.partitions import PART, Partitions
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import FeaturePoint


class Craig(Parameters):
    """Parameters of `craig`; the defaults are ours."""

    point: FeaturePoint = Field("warm", description="Whose gradients: after the preliminary epoch, or untrained.")
    partitions: Partitions = Field("auto", description=f"Parts of the pool; auto: of {PART} records and 1 GiB at most.")
    distance: Literal["euclidean", "squared"] = Field(
        "euclidean", description="Distance between gradients, or its square as in CORDS."
    )
    approximate: bool = Field(False, description="Whether each choice is the best of a random draw, not of all.")
    epsilon: float = Field(0.01, gt=0, lt=1, description="Of the approximate form: it reaches 1 - 1/e - epsilon.")


def needs(parameters: Craig) -> Needs:
    """Return the need of the gradients."""
    return Needs({parameters.point: frozenset({"sgd_features"})})


def in_parts(parameters: Craig) -> bool:
    """Return whether no part's gradients are larger than `within_memory` allows."""
    return parameters.partitions == "auto"


def select(inputs: Inputs, parameters: Craig) -> Choice:
    """Choose greedily in each part."""
    import numpy as np

    from grads.selection.algorithms.facility_location import FacilityLocation, similarities
    from grads.selection.algorithms.partitions import interleaved, partition, quotas, within_memory

    vectors = inputs.features[parameters.point]["sgd_features"]
    ids = inputs.pool["id"].tolist()
    parts = partition(ids, inputs.count, parameters.partitions, within_memory(PART, vectors), inputs.seed)
    score = np.zeros(len(ids))
    weights = np.zeros(len(ids))
    orders = []
    reached = []
    for number, (part, count) in enumerate(zip(parts, quotas(inputs.count, parts), strict=True)):
        draw = np.random.default_rng((inputs.seed, number)) if parameters.approximate else None
        found = FacilityLocation(similarities(vectors[part], parameters.distance == "squared"))
        chosen = found.choose(count, draw, parameters.epsilon)
        score[part] = found.gain
        weights[part] = found.assigned(chosen)
        orders.append(part[chosen])
        reached.append(found.share)
    notes = {"partitions": len(parts), "share_of_largest_objective": round(float(np.mean(reached)), 6)}
    return Choice(score, interleaved(orders), notes, weights)


# A pool of several parts gives each its share of the number asked for, so that a smaller number begins otherwise.
METHOD = Method(
    name="craig",
    title="CRAIG",
    source="arXiv 1906.01827, algorithm 1",
    select=select,
    parameters=Craig,
    needs=needs,
    nested=False,
    in_parts=in_parts,
)
