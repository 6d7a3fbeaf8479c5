"""Parts of a pool."""

import numpy as np
import pytest

from grads.selection.algorithms import partitions as module
from grads.selection.algorithms.partitions import Partitions, interleaved, partition, quotas, within_memory
from grads.signals.vectors import Vectors
from grads.study.seeds import shuffled_ids

IDS = [f"{value:04x}" for value in range(103)]


@pytest.mark.parametrize(
    ("count", "partitions", "size", "expected"),
    [(50, 1, 10, 1), (50, 4, 10, 4), (50, "auto", 103, 1), (50, "auto", 102, 2), (50, "auto", 20, 6), (3, 9, 10, 3)],
)
def test_parts_are_all_records_once_in_equal_shares(
    count: int, partitions: Partitions, size: int, expected: int
) -> None:
    parts = partition(IDS, count, partitions, size, seed=1)
    sizes = [len(part) for part in parts]
    assert len(parts) == expected
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate(parts).tolist()) == list(range(103))
    assert all((np.diff(part) > 0).all() for part in parts)
    shares = quotas(count, parts)
    assert sum(shares) == count
    assert min(shares) >= 1


def test_a_part_depends_on_seed_and_ids_alone() -> None:
    def members(ids: list[str], seed: int) -> list[set[str]]:
        return [{ids[position] for position in part} for part in partition(ids, 50, 3, 10, seed)]

    assert members(IDS, 1) == members(IDS[::-1], 1)
    assert members(IDS, 1) != members(IDS, 2)


def test_a_part_is_not_what_random_draws_first() -> None:
    first = partition(IDS, 50, 2, 10, seed=1)[0]
    drawn = shuffled_ids(IDS, 1)
    assert {IDS[position] for position in first} != set(drawn[::2])


def test_a_part_of_long_vectors_has_fewer_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 4000)
    sizes = [within_memory(30, Vectors(np.zeros((2, length)))) for length in (5, 100, 2000)]
    assert sizes == [30, 10, 1]


def test_quotas_are_shares_with_the_largest_remainders_rounded_up() -> None:
    parts = [np.arange(5), np.arange(3), np.arange(2)]
    assert quotas(5, parts) == [3, 1, 1]  # 2.5, 1.5 and 1: one is left, and the first of two equal remainders has it.
    assert quotas(9, parts) == [4, 3, 2]  # 4.5, 2.7, 1.8.
    assert quotas(10, parts) == [5, 3, 2]


def test_interleaving_takes_the_first_of_every_part_first() -> None:
    orders = [np.array([4, 0, 2]), np.array([5]), np.array([1, 3])]
    assert interleaved(orders).tolist() == [4, 5, 1, 0, 3, 2]
    assert interleaved([np.array([], dtype=int)]).tolist() == []
