"""S2L by hand, and its clusters on trajectories that fall apart by themselves."""

import numpy as np
import pandas as pd

from grads.selection.algorithms.clusters import clusters_of
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.s2l import METHOD, SmallToLarge, in_turn
from grads.signals.vectors import Vectors
from grads.study.seeds import own_seed, shuffled_ids


def choose(trajectories: np.ndarray, count: int, clusters: int, seed: int = 0) -> Choice:
    trajectories = np.asarray(trajectories, dtype=np.float32)
    tokens = pd.DataFrame({"id": [f"{value:04x}" for value in range(len(trajectories))]})
    features = {"trajectory": {"losses": Vectors(trajectories)}}
    return METHOD.select(Inputs({"tokens": tokens}, features, {}, count, seed), SmallToLarge(clusters=clusters))


def chosen(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


def test_turns_by_hand() -> None:
    # Cluster 0 has five records, 1 three, 2 two and 3 one: first those of 0 and 1 in turn, the larger first, then what
    # only 0 has left; the outliers last, by their place.
    cluster = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    place = np.array([10, 4, 2, 6, 8, 1, 9, 3, 7, 0, 5])
    assert in_turn(cluster, place).tolist() == [2, 5, 1, 7, 3, 6, 4, 0, 9, 10, 8]


def quotas(sizes: list[int], budget: int) -> list[int]:
    """Return what each cluster gives by the paper: smallest first, an equal share of what is left."""
    given = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda cluster: sizes[cluster])
    for done, cluster in enumerate(order):
        given[cluster] = min(sizes[cluster], (budget - sum(given)) // (len(order) - done))
    return given


def test_turns_give_the_quotas_of_the_paper() -> None:
    sizes = [3, 4, 7, 19, 40]
    cluster = np.repeat(np.arange(5), sizes)
    order = in_turn(cluster, np.random.default_rng(0).permutation(len(cluster)))
    for budget in range(1, len(cluster) + 1):
        assert np.bincount(cluster[order[:budget]], minlength=5).tolist() == quotas(sizes, budget)


def groups() -> tuple[np.ndarray, np.ndarray]:
    """Return trajectories in three groups far apart, and the group of each."""
    random = np.random.default_rng(1)
    group = np.repeat([0, 1, 2], [30, 12, 6])
    falling = np.array([[5.0, 4.0, 3.0], [5.0, 1.0, 0.5], [1.0, 1.0, 1.0]])
    return falling[group] + random.normal(scale=0.01, size=(48, 3)), group


def test_groups_far_apart_are_the_clusters_and_share_equally() -> None:
    trajectories, group = groups()
    found = clusters_of(trajectories, 3, seed=5)
    assert len(set(zip(found.tolist(), group.tolist(), strict=True))) == 3
    assert np.bincount(group[chosen(choose(trajectories, 15, 3))]).tolist() == [5, 5, 5]
    assert np.bincount(group[chosen(choose(trajectories, 30, 3))]).tolist() == [12, 12, 6]
    assert choose(trajectories, 15, 3).notes == {"clusters": 3, "clusters_of_outliers": 0}


def test_within_a_cluster_the_draw_is_by_seed_and_id() -> None:
    trajectories, group = groups()
    for seed in (0, 1):
        expected = shuffled_ids([f"{value:04x}" for value in np.flatnonzero(group == 0)], own_seed(seed, "s2l"))[:5]
        order = chosen(choose(trajectories, 15, 3, seed))
        assert [f"{value:04x}" for value in order if group[value] == 0] == expected


def test_outliers_come_last() -> None:
    trajectories, _ = groups()
    with_outliers = np.concatenate([trajectories, [[99.0, 0.0, 0.0], [0.0, 99.0, 0.0]]])
    order = chosen(choose(with_outliers, 50, 5))
    assert set(order[-2:]) == {48, 49}


def test_more_clusters_than_different_trajectories() -> None:
    assert clusters_of(np.ones((6, 4)), 100, seed=0).tolist() == [0] * 6
    assert len(set(clusters_of(np.repeat(np.eye(3), 2, axis=0), 100, seed=0).tolist())) == 3
    assert sorted(chosen(choose(np.ones((6, 4)), 6, 100))) == list(range(6))
