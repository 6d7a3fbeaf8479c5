"""Synthetic signal stores for the methods' tests."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.data.records.record import Record, make_record, write_records
from grads.selection.contract import Inputs
from grads.selection.registry import find_method, parse_parameters
from grads.selection.run import select_records
from grads.signals.names import LOSSES, SENTENCES, VECTORS
from grads.signals.vectors import Vectors, split_lengths
from grads.study.paths import TRAIN, store_point


@dataclass(frozen=True)
class MadeStore:
    """What the probe's stores look like to a method."""

    signals: pd.DataFrame
    features: dict[str, Vectors] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()


def make_stores(count: int, seed: int = 0, constant: bool = False) -> dict[str, MadeStore]:
    """Return stores of `count` records, random or all alike."""
    random = np.random.default_rng(seed)
    size = 1 if constant else count
    tokens = pd.DataFrame(
        {
            "id": [f"{value:08x}" for value in random.permutation(10 * count)[:count]],
            "prompt_tokens": 20,
            "response_tokens": random.integers(3, 60, size) * np.ones(count, dtype=int),
            "truncated": False,
        }
    )
    warm = tokens.assign(**make_statistics(random, ("embedding", "head"), size, count))
    features = (random.normal(size=(size, 5)) * np.ones((count, 1))).astype(np.float32)
    ids = tokens["id"].tolist()
    base = {"hidden": Vectors(*split_lengths(features))} | make_vectors(random, size, count)
    return {
        "tokens": MadeStore(tokens, records=make_records(random, ids, size)),
        "warm": MadeStore(warm, make_vectors(random, size, count)),
        "base": MadeStore(tokens, base),
        **{name: make_others(random) for name in ("base-validation", "warm-validation", "base-anchor")},
    }


def make_statistics(random: np.random.Generator, layers: Sequence[str], size: int, count: int) -> dict[str, np.ndarray]:
    """Return the columns of the gradients of some layers; `size` records or one differ."""
    made: dict[str, np.ndarray] = {}
    for layer in layers:
        made[f"{layer}_l2"] = random.lognormal(size=size) * np.ones(count)
        made[f"{layer}_max"] = made[f"{layer}_l2"] * random.uniform(0.1, 0.9, size)
        made[f"{layer}_min"] = -made[f"{layer}_l2"] * random.uniform(0.1, 0.9, size)
    for layer in layers:
        made[f"{layer}_mean"] = random.normal(size=size) * (layer != "head") * np.ones(count)
        for name in ("std", "mean_abs"):
            made[f"{layer}_{name}"] = random.lognormal(size=size) * np.ones(count)
    return made


def make_needed(
    needed: Mapping[str, Collection[str]], count: int, seed: int = 0, constant: bool = False
) -> dict[str, MadeStore]:
    """Return `tokens` and the stores that are needed, each with all that it is asked to hold.

    Those of the pool have `count` records, random or all alike; others have eight.
    """
    made = make_stores(count, seed, constant)
    stores = {"tokens": made["tokens"], "base-validation": made["base-validation"]}
    for number, (name, measures) in enumerate(sorted(needed.items())):
        random = np.random.default_rng([seed, number])
        of_pool = store_point(name)[2] == TRAIN
        tokens = made["tokens" if of_pool else "base-validation"]
        rows = len(tokens.signals)
        size = 1 if constant and of_pool else rows
        columns, vectors = {}, {}
        for measure in sorted(measures):
            if measure in VECTORS_OF and (measure != "losses" or name == "trajectory"):
                vectors[measure] = make_kind(random, measure, size, rows)
            else:
                columns |= make_columns(random, measure, size, rows)
        stores[name] = MadeStore(tokens.signals.assign(**columns), vectors, records=tokens.records)
    return stores


# Kinds of vectors, and their dimensions; `losses` are vectors in `trajectory` only.
VECTORS_OF = dict.fromkeys((*VECTORS, SENTENCES), 6) | {"losses": 4}


def make_kind(random: np.random.Generator, kind: str, size: int, count: int) -> Vectors:
    """Return vectors around a mean, as gradients and hidden states are, and losses above 0."""
    shape = (size, VECTORS_OF[kind])
    rows = random.lognormal(size=shape) if kind == "losses" else random.normal(size=shape) + np.eye(*shape[1:] * 2)[0]
    return Vectors(*split_lengths(rows * np.ones((count, 1))))


def make_columns(random: np.random.Generator, measure: str, size: int, count: int) -> dict[str, np.ndarray]:
    """Return what a measure becomes; answers are less likely without their question."""
    every = np.ones(count)
    if measure in ("gradients", "mean_abs"):
        return make_statistics(random, ("embedding", "head"), size, count)
    if measure == "adapter":
        return make_statistics(random, ("adapter",), size, count)
    if measure == "weights":
        return {"weights_l2": random.lognormal(size=size) * every}
    response = random.lognormal(size=size) * every
    more = {name: random.lognormal(size=size) * every for name in LOSSES.get(measure, ())}
    if measure == "unconditional":
        more = {"unconditional_nll": response * random.uniform(1.1, 3, size)}
    return {"response_nll": response} | more


def make_vectors(random: np.random.Generator, size: int, count: int) -> dict[str, Vectors]:
    """Return vectors of all kinds, around a mean as gradients are; `size` of them or one differ."""
    kinds = ("weighted_hidden", "sgd_features", "adam_features")
    return {
        kind: Vectors(*split_lengths((random.normal(size=(size, 6)) + np.eye(6)[0]) * np.ones((count, 1))))
        for kind in kinds
    }


def make_records(random: np.random.Generator, ids: Sequence[str], size: int) -> tuple[Record, ...]:
    """Return records of the given ids with texts of ten words each; `size` of them or one differ."""
    words = random.choice(["ash", "birch", "cedar", "elm", "fir", "oak", "pine", "yew"], size=(size, 10))
    words = np.broadcast_to(words, (len(ids), 10))
    made = (
        make_record(" ".join(row[:4]), "", " ".join(row[4:]), source=row[0], metadata={"quality": len("".join(row))})
        for row in words
    )
    return tuple(replace(record, id=id_) for id_, record in zip(ids, made, strict=True))


def make_others(random: np.random.Generator) -> MadeStore:
    """Return a store of eight records that are not the pool's."""
    ids = [f"other{index}" for index in range(8)]
    tokens = pd.DataFrame({"id": ids, "prompt_tokens": 20, "response_tokens": 9, "truncated": False})
    return MadeStore(tokens, make_vectors(random, 8, 8), records=make_records(random, ids, 8))


def reorder(stores: dict[str, MadeStore], order: Sequence[int]) -> dict[str, MadeStore]:
    """Return the stores with the pool's records in another order."""
    return {
        name: MadeStore(
            store.signals.iloc[order].reset_index(drop=True),
            {kind: vectors.ordered(order) for kind, vectors in store.features.items()},
            records=store.records,
        )
        if len(store.signals) == len(order)
        else store
        for name, store in stores.items()
    }


@pytest.fixture(scope="session")
def stores_of() -> Callable[..., dict[str, MadeStore]]:
    return make_stores


@pytest.fixture(scope="session")
def needed_by() -> Callable[..., dict[str, MadeStore]]:
    """Make what a method and those that it refers to need, by what they declare."""

    def needs_of(name: str, parameters: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        method = find_method(name)
        needs = method.needs(parse_parameters(method, {**method.example, **parameters}))
        stores = dict(needs.stores)
        for other in needs.references(auto=True):
            for store, held in needs_of(other, {}).items():
                stores[store] = stores.get(store, frozenset()) | held
        return stores

    def make(name: str, count: int, seed: int = 0, constant: bool = False, **parameters: Any) -> dict[str, MadeStore]:
        return make_needed(needs_of(name, parameters), count, seed, constant)

    return make


@pytest.fixture(scope="session")
def reordered() -> Callable[..., dict[str, MadeStore]]:
    return reorder


@pytest.fixture(scope="session")
def inputs_of() -> Callable[..., Inputs]:
    """Make a method's inputs of rows by store and kind; those of the pool have the ids r000, r001, ..."""

    def make(
        rows: dict[str, dict[str, Any]], count: int, seed: int = 0, texts: dict[str, pd.DataFrame] | None = None
    ) -> Inputs:
        signals, features = {}, {}
        for store, kinds in rows.items():
            letter = "v" if store.partition("-")[2] else "r"
            size = len(next(iter(kinds.values())))
            signals[store] = pd.DataFrame({"id": [f"{letter}{index:03}" for index in range(size)]})
            features[store] = {kind: Vectors(*split_lengths(np.asarray(found, float))) for kind, found in kinds.items()}
        pool = texts["train"][["id"]] if texts and "train" in texts else signals[next(iter(rows))]
        return Inputs({"tokens": pool, **signals}, features, {}, count, seed, texts or {})

    return make


@pytest.fixture
def select(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[pd.DataFrame, dict[str, Any]]]:
    """Run the selection stage, its reference arms first, and return the table and the meta it wrote."""

    def run(
        name: str, ratio: str, stores: dict[str, MadeStore], seed: int = 0, **parameters: Any
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        method = find_method(name)
        ratio, parameters = method.fixed_ratio or ratio, {**method.example, **parameters}
        needs = method.needs(parse_parameters(method, parameters))
        references, texts = {}, {}
        for arm in needs.references(ratio == "auto"):
            references[arm] = tmp_path / arm / f"{seed}.parquet"
            select_records(arm, {}, ratio, seed, stores, {}, references[arm])
        for split in needs.texts:
            texts[split] = tmp_path / f"{split}.parquet"
            write_records(texts[split], stores["tokens" if split == "train" else "base-validation"].records)
        monkeypatch.chdir(tmp_path)
        for file in needs.files:
            ids = sorted(stores["tokens"].signals["id"])
            Path(file).write_text("".join(json.dumps({"id": id_}) + "\n" for id_ in ids), encoding="utf-8")
        out = tmp_path / name / f"{seed}.parquet"
        meta = select_records(name, parameters, ratio, seed, stores, references, out, texts)
        return pd.read_parquet(out), meta

    return run
