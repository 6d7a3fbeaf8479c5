"""Clusters and their quotas, by hand and on points that fall apart by themselves."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grads.selection.contract import Choice, Inputs
from grads.selection.methods.clusters import METHOD, Clusters, by_quota, distances
from grads.study.seeds import own_seed, shuffled_ids

Make = Callable[..., Inputs]


def test_equal_turns_by_hand() -> None:
    # Cluster 0 has four records, 1 has two, 2 one; the largest comes first in each turn.
    cluster, first = np.array([0, 1, 0, 2, 0, 1, 0]), np.array([3.0, 9.0, 1.0, 5.0, 2.0, 8.0, 4.0])
    assert by_quota(cluster, first, "equal").tolist() == [2, 5, 3, 4, 1, 0, 6]


def test_proportional_turns_by_hand() -> None:
    # (2 t + 1) / size: 1/4, 3/4, 5/4, 7/4 of cluster 0; 1/2, 3/2 of 1; 1 of 2.
    cluster, first = np.array([0, 1, 0, 2, 0, 1, 0]), np.array([3.0, 9.0, 1.0, 5.0, 2.0, 8.0, 4.0])
    assert by_quota(cluster, first, "proportional").tolist() == [2, 5, 4, 3, 0, 1, 6]


def test_proportional_quotas_are_shares_of_the_pool() -> None:
    sizes = [50, 30, 15, 5]
    cluster = np.repeat(np.arange(4), sizes)
    order = by_quota(cluster, np.arange(100.0), "proportional")
    for budget in (20, 40, 60, 80):
        assert np.bincount(cluster[order[:budget]], minlength=4).tolist() == [size * budget // 100 for size in sizes]


def groups() -> tuple[np.ndarray, np.ndarray]:
    """Return points around three directions, and the group of each."""
    random = np.random.default_rng(1)
    group = np.repeat([0, 1, 2], [24, 12, 6])
    return np.eye(5)[group] + random.normal(scale=0.02, size=(42, 5)), group


def choose(inputs_of: Make, points: Any, count: int, seed: int = 0, **parameters: Any) -> Choice:
    return METHOD.select(inputs_of({"base": {"hidden": points}}, count, seed), Clusters(**parameters))


def chosen(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


@pytest.mark.parametrize(("quota", "given"), [("equal", [5, 5, 4]), ("proportional", [8, 4, 2])])
def test_groups_far_apart_are_the_clusters(quota: str, given: list[int], inputs_of: Make) -> None:
    points, group = groups()
    choice = choose(inputs_of, points, 14, clusters=3, quota=quota)
    assert np.bincount(group[chosen(choice)]).tolist() == given
    assert choice.notes == {"clusters": 3, "clusters_that_give": 3}


def test_a_cluster_gives_what_is_nearest_to_its_centre_or_what_is_drawn(inputs_of: Make) -> None:
    points, group = groups()
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    nearest = [
        np.flatnonzero(group == one)[np.argmin(distances(units[group == one], np.zeros(sum(group == one), dtype=int)))]
        for one in range(3)
    ]
    assert chosen(choose(inputs_of, points, 3, clusters=3, within="nearest")) == nearest
    for seed in (0, 1):
        drawn = shuffled_ids([f"r{place:03}" for place in np.flatnonzero(group == 0)], own_seed(seed, "clusters"))
        order = chosen(choose(inputs_of, points, 12, seed, clusters=3))
        assert [f"r{place:03}" for place in order if group[place] == 0] == drawn[:4]


def test_distances_by_hand() -> None:
    points = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    assert distances(points, np.array([0, 0, 1])).tolist() == [1, 1, 0]


def test_needs() -> None:
    assert METHOD.needs(Clusters()).stores == {"base": {"hidden"}}
    assert METHOD.needs(Clusters(encoder="minilm")).stores == {"encoder-minilm": {"sentences"}}
