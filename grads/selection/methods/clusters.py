"""`clusters`: records from every cluster of the pool's embeddings, the usual way to a diverse subset.

The directions of the embeddings are clustered by k-means, and each cluster gives its quota:

- `equal`: clusters take turns, the largest first, and one that is exhausted is passed over;
- `proportional`: as many as its share of the pool, by the divisors 1, 3, 5, ... (Sainte-Lague), so that what a cluster
  gives to a smaller selection it gives to a larger one too;

a random record at each turn, or the one nearest to the cluster's centre of those that are left.

Certain: nothing but the idea, which many papers use in a form of their own: Cherry draws 10 records of each of 100
clusters before it scores (arXiv 2308.12032), S2L takes equal shares of clusters of losses.

Ours: all of it. Mean hidden states of the untrained model are clustered, or the embeddings of a sentence encoder; 100
clusters, equal shares and random draws are the defaults; k-means starts at k-means++ centres and runs 20 iterations.
With as many clusters as records are kept, `equal` and `nearest` is one record for each cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import content
from grads.study.seeds import own_seed, shuffled_ids

if TYPE_CHECKING:
    import numpy as np

# Decimals of a distance to a centre that count.
DECIMALS = 6


class Clusters(Parameters):
    """Parameters of `clusters`."""

    clusters: int = Field(100, ge=1, description="Clusters of embeddings; as many as differ, if fewer.")
    quota: Literal["equal", "proportional"] = Field("equal", description="How many records each cluster gives.")
    within: Literal["random", "nearest"] = Field("random", description="Which of its records a cluster gives first.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; hidden states if none.")


def needs(parameters: Clusters) -> Needs:
    """Return the need of the embeddings."""
    store, kind = content(parameters.encoder)
    return Needs({store: frozenset({kind})})


def select(inputs: Inputs, parameters: Clusters) -> Choice:
    """Choose from the clusters by their quotas."""
    import numpy as np

    from grads.selection.algorithms.clusters import clusters_of
    from grads.selection.algorithms.neighbours import unit_matrix

    store, kind = content(parameters.encoder)
    points = unit_matrix(inputs.features[store][kind])
    cluster = clusters_of(points, parameters.clusters, inputs.seed)
    sizes = np.bincount(cluster)
    if parameters.within == "nearest":
        first = distances(points, cluster)
    else:
        drawn = shuffled_ids(inputs.pool["id"], own_seed(inputs.seed, "clusters"))
        place = {id_: number for number, id_ in enumerate(drawn)}
        first = np.array([place[id_] for id_ in inputs.pool["id"]], dtype=float)
    order = by_quota(cluster, first, parameters.quota)
    score = np.empty(len(order))
    score[order] = 1.0 - np.arange(len(order)) / len(order)
    given = np.bincount(cluster[order[: inputs.count]], minlength=len(sizes))
    return Choice(score, order[: inputs.count], {"clusters": len(sizes), "clusters_that_give": int((given > 0).sum())})


def distances(points: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Return the distance of each of N x d points to the mean of its cluster, to six decimals."""
    import numpy as np

    centres = np.zeros((int(cluster.max()) + 1, points.shape[1]))
    np.add.at(centres, cluster, points)
    centres /= np.bincount(cluster)[:, None]
    return np.round(np.linalg.norm(points - centres[cluster], axis=1), DECIMALS)


def by_quota(cluster: np.ndarray, first: np.ndarray, quota: str) -> np.ndarray:
    """Return the positions of N records in the order in which their clusters give them.

    Args:
        cluster: of each record, from 0 without gaps.
        first: N numbers; a cluster gives its records from the smallest on, equal ones by position.
        quota: `equal`, or `proportional` to the clusters' sizes.
    """
    import numpy as np

    sizes = np.bincount(cluster)
    by_cluster = np.lexsort((first, cluster))
    turn = np.empty(len(cluster))
    turn[by_cluster] = np.concatenate([np.arange(size) for size in sizes])
    # At equal turns larger clusters come first, those of one size by what is first in them.
    start = np.full(len(sizes), np.inf)
    np.minimum.at(start, cluster, first)
    key = turn if quota == "equal" else (2 * turn + 1) / sizes[cluster]
    return np.lexsort((first, start[cluster], -sizes[cluster], key))


METHOD = Method(
    name="clusters",
    title="Clusters",
    source="baseline of many papers; this form is ours",
    select=select,
    parameters=Clusters,
    needs=needs,
    draws=True,
)
