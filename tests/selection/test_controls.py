"""The controls and the density form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde

Select = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]
Stores = Callable[..., Any]


def kept_ids(table: pd.DataFrame) -> set[str]:
    return set(table["id"][table["kept"]])


def test_density_keeps_the_densest_sums(select: Select, stores_of: Stores) -> None:
    stores = stores_of(60)
    warm = stores["warm"].signals.set_index("id")
    logs = np.log(warm["embedding_l2"] + warm["head_l2"])
    expected = pd.Series(gaussian_kde(logs)(logs), index=logs.index).sort_values(ascending=False)
    table, _ = select("grads_density", "0.5", stores)
    assert table["id"].tolist() == expected.index.tolist()
    np.testing.assert_allclose(table["score"], expected, rtol=1e-12)


def test_random_is_uniform_over_seeds(select: Select, stores_of: Stores) -> None:
    stores = stores_of(20)
    counts = pd.Series(0, index=sorted(stores["tokens"].signals["id"]))
    for seed in range(200):
        counts[list(kept_ids(select("random", "0.25", stores, seed=seed)[0]))] += 1
    # Each record is drawn Binomial(200, 1/4) times: mean 50, standard deviation 6.1.
    assert counts.sum() == 1000
    assert counts.between(25, 75).all()


def test_full_steps_keeps_all_and_names_the_size_whose_steps_it_takes(select: Select, stores_of: Stores) -> None:
    table, meta = select("full_steps", "0.05", stores_of(100))
    assert table["kept"].all()
    assert (meta["requested"], meta["actual"], meta["shortfall"]) == (5, 100, 0)


@pytest.mark.parametrize("ratio", ["0.05", "0.5", "0.9"])
def test_random_length_has_the_lengths_of_its_reference(ratio: str, select: Select, stores_of: Stores) -> None:
    stores = stores_of(300)
    lengths = stores["tokens"].signals.set_index("id")["response_tokens"]
    reference, _ = select("grads", ratio, stores)
    table, meta = select("random_length", ratio, stores)
    drawn, wanted = kept_ids(table), kept_ids(reference)
    own, asked = sorted(lengths[list(drawn)]), sorted(lengths[list(wanted)])
    assert own == pytest.approx(asked, rel=0.05)
    assert drawn != wanted
    assert meta["notes"]["overlap"] == len(drawn & wanted)
    assert meta["notes"]["mean_length"] == pytest.approx(np.mean(own), abs=1e-3)
    assert meta["notes"]["mean_length_of_reference"] == pytest.approx(np.mean(asked), abs=1e-3)


def test_overlap_by_chance_is_the_mean_over_seeds(select: Select, stores_of: Stores) -> None:
    stores = stores_of(120)
    found = [select("random_length", "0.5", stores, seed=seed)[1]["notes"] for seed in range(40)]
    # The standard deviation of one overlap is below sqrt(120) / 4 = 2.7.
    assert np.mean([notes["overlap"] for notes in found]) == pytest.approx(
        found[0]["overlap_expected_by_chance"], abs=4 * 2.7 / 40**0.5
    )


def test_random_length_is_not_the_draw_of_random(select: Select, stores_of: Stores) -> None:
    stores = stores_of(400)
    shared = len(kept_ids(select("random", "0.5", stores)[0]) & kept_ids(select("random_length", "0.5", stores)[0]))
    # Two independent halves of 400 share 100 records, give or take 5.
    assert 75 <= shared <= 125
