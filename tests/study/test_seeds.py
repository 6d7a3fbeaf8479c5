import statistics

import pytest

from grads.study.seeds import derive_seed, gumbel, own_seed, shuffled_ids


def test_users_of_one_seed_have_seeds_of_their_own():
    assert len({5, own_seed(5, "a"), own_seed(5, "b"), own_seed(6, "a")}) == 4
    assert own_seed(5, "a") == own_seed(5, "a")


def test_a_seed_depends_on_each_of_its_parts():
    base = derive_seed(0, "m", "d", "order")
    others = [derive_seed(1, "m", "d", "order"), derive_seed(0, "n", "d", "order"), derive_seed(0, "m", "e", "order")]
    assert base not in [*others, derive_seed(0, "m", "d", "selection")]
    assert 0 <= base < 2**31
    assert base == derive_seed(0, "m", "d", "order")


def test_parts_are_not_run_together():
    assert derive_seed(0, "ab", "c", "x") != derive_seed(0, "a", "bc", "x")


def test_a_subset_keeps_the_order_it_has_in_the_whole():
    ids = [f"id{i}" for i in range(50)]
    whole = shuffled_ids(ids, seed=7)
    subset = ids[10:30]
    assert shuffled_ids(reversed(subset), seed=7) == [i for i in whole if i in subset]


def test_epochs_and_seeds_have_orders_of_their_own():
    ids = [f"id{i}" for i in range(50)]
    orders = {tuple(shuffled_ids(ids, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}
    assert len(orders) == 4
    assert all(sorted(order) == sorted(ids) for order in orders)


def test_noise_is_that_of_gumbel_and_of_the_id_alone():
    noise = [gumbel(str(id_), 3) for id_ in range(20_000)]
    # Mean: Euler's constant; variance: pi^2 / 6. Their standard errors are 0.009 and 0.025.
    assert statistics.mean(noise) == pytest.approx(0.5772, abs=0.04)
    assert statistics.variance(noise) == pytest.approx(1.6449, abs=0.1)
    assert noise[7] == gumbel("7", 3) != gumbel("7", 4)
