"""What holds for every selection method."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grads.methods.registry import methods
from grads.study.ratios import keep_count

Select = Callable[..., tuple[Any, dict[str, Any]]]
Stores = Callable[..., Any]
NAMES = list(methods())
# Those that draw, those that may find fewer records than asked for, and those whose draws of two sizes are apart.
DRAWING = ("dsir", "random", "random_length")
SHORT = ("g2is",)
NOT_NESTED = ("g2is", "random_length")
CHOOSING = [name for name in NAMES if methods()[name].fixed_ratio is None and not methods()[name].equal_steps]


def expected_count(name: str, ratio: str, eligible: int) -> int:
    method = methods()[name]
    if method.fixed_ratio == "0":
        return 0
    return eligible if method.equal_steps else keep_count(method.fixed_ratio or ratio, eligible)


@pytest.mark.parametrize("ratio", ["0.05", "0.5", "1"])
@pytest.mark.parametrize("count", [1, 2, 7, 101])
@pytest.mark.parametrize("name", NAMES)
def test_selection_is_a_ranking_of_the_pool(
    name: str, count: int, ratio: str, select: Select, stores_of: Stores
) -> None:
    stores = stores_of(count)
    table, meta = select(name, ratio, stores)
    assert list(table.columns) == ["id", "score", "rank", "kept", "weight"]
    assert sorted(table["id"]) == sorted(stores["tokens"].signals["id"])
    assert table["rank"].tolist() == list(range(1, count + 1))
    kept = asked = expected_count(name, ratio, count)
    if name in SHORT:
        kept = meta["actual"]
        assert 1 <= kept <= asked
    assert table["kept"].tolist() == [True] * kept + [False] * (count - kept)
    assert np.isfinite(table["score"]).all()
    assert (meta["actual"], meta["eligible"], meta["shortfall"]) == (kept, count, asked - kept)


@pytest.mark.parametrize("name", NAMES)
def test_equal_records_are_ordered_by_id(name: str, select: Select, stores_of: Stores) -> None:
    table, _ = select(name, "0.5", stores_of(23, constant=True))
    if name not in DRAWING:
        assert table["id"].tolist() == sorted(table["id"])
    assert table["kept"].sum() == expected_count(name, "0.5", 23)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_selection_in_any_record_order(
    name: str, select: Select, stores_of: Stores, reordered: Callable[..., Any]
) -> None:
    stores = stores_of(60)
    table, meta = select(name, "0.5", stores)
    again, again_meta = select(name, "0.5", reordered(stores, np.random.default_rng(1).permutation(60)))
    assert table.equals(again)
    assert {**meta, "seconds": 0} == {**again_meta, "seconds": 0}


@pytest.mark.parametrize("name", [name for name in CHOOSING if name not in NOT_NESTED])
def test_smaller_selection_lies_inside_the_larger(name: str, select: Select, stores_of: Stores) -> None:
    stores = stores_of(80)
    small, _ = select(name, "0.05", stores)
    large, _ = select(name, "0.5", stores)
    kept = int(small["kept"].sum())
    assert small["id"][:kept].tolist() == large["id"][:kept].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_seed_matters_to_random_draws_only(name: str, select: Select, stores_of: Stores) -> None:
    stores = stores_of(80)
    first, _ = select(name, "0.5", stores, seed=1)
    second, _ = select(name, "0.5", stores, seed=2)
    assert (first["id"].tolist() == second["id"].tolist()) == (name not in DRAWING)
