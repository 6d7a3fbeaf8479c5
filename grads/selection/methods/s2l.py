"""`s2l`: records drawn evenly from clusters of loss trajectories (SmallToLarge).

A small model is trained on the whole pool, and each record's loss at its checkpoints is its trajectory. Records with
similar trajectories have similar gradients, so trajectories are clustered (k-means) and every cluster gives the same
number of records, small ones all they have; what they lack, and what cannot be divided, goes to the larger. Clusters of
at most two records, which are outliers, come last, drawn as if they were one. Within a cluster the draw is random.

Certain: all of that is the paper and its code.

Equal shares are the same as going round: each cluster's first record, then each one's second, the largest cluster
first, and one that is exhausted is passed over. So a smaller selection lies inside every larger one.

Ours: the paper does this in every source of the data, smallest first; here a domain is one source. The initial centres
are those of k-means++ (scikit-learn), where the code draws records (faiss); 20 iterations as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.study.seeds import own_seed, shuffled_ids

if TYPE_CHECKING:
    import numpy as np

# Clusters of at most so many records come last.
OUTLIERS = 2


class SmallToLarge(Parameters):
    """Parameters of `s2l`; the default is the paper's."""

    clusters: int = Field(100, ge=1, description="Clusters of trajectories; as many as differ, if fewer.")


def needs(_parameters: SmallToLarge) -> Needs:
    """Return the need of the trajectories."""
    return Needs({"trajectory": frozenset({"losses"})})


def select(inputs: Inputs, parameters: SmallToLarge) -> Choice:
    """Choose from the clusters in turn."""
    import numpy as np

    from grads.selection.algorithms.clusters import clusters_of

    trajectories = np.asarray(inputs.features["trajectory"]["losses"])
    cluster = clusters_of(trajectories, parameters.clusters, inputs.seed)
    drawn = shuffled_ids(inputs.pool["id"], own_seed(inputs.seed, "s2l"))
    place = {id_: index for index, id_ in enumerate(drawn)}
    order = in_turn(cluster, np.array([place[id_] for id_ in inputs.pool["id"]]))
    score = np.empty(len(order))
    score[order] = 1.0 - np.arange(len(order)) / len(order)
    sizes = np.bincount(cluster)
    notes = {"clusters": len(sizes), "clusters_of_outliers": int((sizes <= OUTLIERS).sum())}
    return Choice(score, order[: inputs.count], notes)


def in_turn(cluster: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the positions of N records, the first of every cluster, then the second of every cluster, and so on.

    In each turn the largest cluster comes first; records of outlying clusters come after all turns, by their place.

    Args:
        cluster: of each record, from 0 without gaps.
        place: of each record, in the order in which its cluster gives its records.
    """
    import numpy as np

    sizes = np.bincount(cluster)
    by_cluster = np.lexsort((place, cluster))
    turn = np.empty(len(cluster), dtype=int)
    turn[by_cluster] = np.concatenate([np.arange(size) for size in sizes])
    # Clusters of one size take their turn by the place of their first records.
    first = np.full(len(sizes), len(place))
    np.minimum.at(first, cluster, place)
    outlier = sizes[cluster] <= OUTLIERS
    size = sizes[cluster]
    keys = (np.where(outlier, place, first[cluster]), np.where(outlier, 0, -size), np.where(outlier, 0, turn), outlier)
    return np.lexsort(keys)


METHOD = Method(
    name="s2l",
    title="S2L",
    source="arXiv 2403.07384, algorithm 1; code BigML-CS-UCLA/S2L @2bc84dd",
    select=select,
    parameters=SmallToLarge,
    needs=needs,
    draws=True,
)
