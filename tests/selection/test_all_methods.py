"""What holds for every selection method: found by the registry, given what it declares that it needs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.config.ratios import keep_count
from grads.runtime.errors import GradsError
from grads.selection.registry import find_method, methods
from grads.signals.vectors import Vectors

Select = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]
Needed = Callable[..., dict[str, Any]]
NAMES = list(methods())
CHOOSING = [name for name in NAMES if methods()[name].fixed_ratio is None and not methods()[name].equal_steps]


def expected_count(name: str, ratio: str, eligible: int) -> int:
    method = find_method(name)
    if method.fixed_ratio == "0":
        return 0
    return eligible if method.equal_steps else keep_count(method.fixed_ratio or ratio, eligible)


def kept_of(name: str, ratio: str, table: pd.DataFrame, meta: dict[str, Any]) -> int:
    """Return how many records are kept, after checking the number against the ratio and what the meta says."""
    asked, kept = expected_count(name, ratio, len(table)), int(table["kept"].sum())
    assert (meta["actual"], meta["eligible"]) == (kept, len(table))
    assert meta["shortfall"] == asked - kept
    if find_method(name).may_fall_short:
        assert 1 <= kept <= asked
    else:
        assert kept == asked, "a method that may choose fewer declares may_fall_short"
    return kept


def without_seconds(meta: dict[str, Any]) -> dict[str, Any]:
    return {**meta, "seconds": 0}


@pytest.mark.parametrize("ratio", ["0.05", "0.5", "1"])
@pytest.mark.parametrize("count", [1, 2, 7, 101])
@pytest.mark.parametrize("name", NAMES)
def test_a_selection_is_a_ranking_of_the_pool(
    name: str, count: int, ratio: str, select: Select, needed_by: Needed
) -> None:
    stores = needed_by(name, count)
    table, meta = select(name, ratio, stores)
    assert list(table.columns) == ["id", "score", "rank", "kept", "weight"]
    assert sorted(table["id"]) == sorted(stores["tokens"].signals["id"])
    assert table["rank"].tolist() == list(range(1, count + 1))
    kept = kept_of(name, ratio, table, meta)
    assert table["kept"].tolist() == [True] * kept + [False] * (count - kept)
    assert np.isfinite(table["score"]).all()
    assert table["weight"].sum() == pytest.approx(kept)


@pytest.mark.parametrize("name", NAMES)
def test_equal_records_are_ordered_by_id(name: str, select: Select, needed_by: Needed) -> None:
    table, meta = select(name, "0.5", needed_by(name, 23, constant=True))
    if not find_method(name).draws:
        assert table["id"].tolist() == sorted(table["id"])
    kept_of(name, "0.5", table, meta)


@pytest.mark.parametrize("name", NAMES)
def test_duplicates_are_records_of_their_own(name: str, select: Select, needed_by: Needed) -> None:
    """Each record is there twice, under two ids."""
    stores = needed_by(name, 12)
    twice = {name: doubled(store) if len(store.signals) == 12 else store for name, store in stores.items()}
    table, meta = select(name, "0.5", twice)
    kept_of(name, "0.5", table, meta)
    assert table["id"].is_unique
    assert np.isfinite(table["score"]).all()
    again, again_meta = select(name, "0.5", twice)
    assert table.equals(again)
    assert without_seconds(meta) == without_seconds(again_meta)


def doubled(store: Any) -> Any:
    """Return a store with every record twice, the second time under another id."""
    signals = pd.concat([store.signals, store.signals.assign(id=store.signals["id"] + "-again")], ignore_index=True)
    rows = [*range(len(store.signals))] * 2
    features = {kind: vectors.ordered(rows) for kind, vectors in store.features.items()}
    records = (*store.records, *(replace(record, id=record.id + "-again") for record in store.records))
    return replace(store, signals=signals, features=features, records=records)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_selects_the_same_in_any_record_order(
    name: str, select: Select, needed_by: Needed, reordered: Callable[..., Any]
) -> None:
    stores = needed_by(name, 60)
    table, meta = select(name, "0.5", stores)
    again, again_meta = select(name, "0.5", reordered(stores, np.random.default_rng(1).permutation(60)))
    assert table.equals(again)
    assert without_seconds(meta) == without_seconds(again_meta)


@pytest.mark.parametrize("name", CHOOSING)
def test_a_smaller_selection_is_the_beginning_of_a_larger(name: str, select: Select, needed_by: Needed) -> None:
    stores = needed_by(name, 80)
    small, _ = select(name, "0.05", stores)
    large, _ = select(name, "0.5", stores)
    kept = int(small["kept"].sum())
    begins = small["id"][:kept].tolist() == large["id"][:kept].tolist()
    assert begins or not find_method(name).nested, "a method whose selections are not nested declares nested=False"


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_matters_to_methods_that_draw_and_to_no_other(
    name: str, select: Select, needed_by: Needed
) -> None:
    stores = needed_by(name, 80)
    first, _ = select(name, "0.5", stores, seed=1)
    second, _ = select(name, "0.5", stores, seed=2)
    differs = first["id"].tolist() != second["id"].tolist()
    assert differs == find_method(name).draws, "a method in which chance plays a part declares draws=True"


def test_what_methods_draw_is_independent(select: Select, needed_by: Needed) -> None:
    """By the same seed, of records that are all alike: else a method would choose as `random` does, or the opposite."""
    drawing = {name: {} for name in CHOOSING if methods()[name].draws} | {"grads_density": {"rule": "sample"}}
    places = {}
    for name, parameters in drawing.items():
        table, _ = select(name, "0.5", needed_by(name, 200, constant=True), seed=3, **parameters)
        places[name] = table.set_index("id")["rank"].sort_index()
    assert len(places) >= 5
    # The correlation of independent orders has a standard deviation of 0.07.
    correlations = pd.DataFrame(places).corr().to_numpy() - np.eye(len(places))
    assert np.abs(correlations).max() < 0.3


def broken(stores: dict[str, Any], value: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each signal with the stores in which it is no number for one record."""
    for name, store in stores.items():
        for column in store.signals.columns[4:]:
            signals = store.signals.assign(
                **{column: np.where(np.arange(len(store.signals)) == 2, value, store.signals[column])}
            )
            yield f"{name}.{column}", stores | {name: replace(store, signals=signals)}
        for kind, vectors in store.features.items():
            norms = vectors.norms.copy()
            norms[vectors.rows[2]] = value
            features = store.features | {kind: Vectors(vectors.directions, norms, vectors.rows)}
            yield f"{name}.{kind}", stores | {name: replace(store, features=features)}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", [name for name in NAMES if methods()[name].needs(methods()[name].shown).stores])
def test_what_is_no_number_is_refused(name: str, value: float, select: Select, needed_by: Needed) -> None:
    method, made = find_method(name), needed_by(name, 9)
    stores = {store: made[store] for store in ("tokens", *method.needs(method.shown).stores)}
    texts = {"base-validation": made["base-validation"]}
    tried = 0
    for signal, wrong in broken(stores, value):
        tried += 1
        with pytest.raises(GradsError, match=f"no number for '{signal.partition('.')[2]}'"):
            select(name, "0.5", texts | wrong)
    assert tried


@pytest.mark.parametrize("name", [name for name in CHOOSING if not methods()[name].draws])
def test_what_records_are_called_does_not_matter(name: str, select: Select, needed_by: Needed) -> None:
    """Ids decide between equals only: other ids in the same order give the same choice."""
    stores = needed_by(name, 30)
    table, _ = select(name, "0.5", stores)
    renamed = {
        key: replace(
            store,
            signals=store.signals.assign(id="x" + store.signals["id"]),
            records=tuple(replace(record, id="x" + record.id) for record in store.records),
        )
        for key, store in stores.items()
    }
    again, _ = select(name, "0.5", renamed)
    assert again["id"].str[1:].tolist() == table["id"].tolist()
