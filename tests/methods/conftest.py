"""Made-up signal stores for the methods' tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.data.vectors import Vectors, split_lengths
from grads.methods.registry import find_method, parse_parameters
from grads.methods.stage import select_records


@dataclass(frozen=True)
class MadeStore:
    """What the probe's stores look like to a method."""

    signals: pd.DataFrame
    features: dict[str, Vectors] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


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
    warm = tokens.copy()
    for matrix in ("embedding", "head"):
        l2 = random.lognormal(size=size)
        warm[f"{matrix}_l2"] = l2 * np.ones(count)
        warm[f"{matrix}_max"] = warm[f"{matrix}_l2"] * random.uniform(0.1, 0.9, size)
        warm[f"{matrix}_min"] = -warm[f"{matrix}_l2"] * random.uniform(0.1, 0.9, size)
    for matrix in ("embedding", "head"):
        warm[f"{matrix}_mean"] = random.normal(size=size) * (matrix == "embedding") * np.ones(count)
        for name in ("std", "mean_abs"):
            warm[f"{matrix}_{name}"] = random.lognormal(size=size) * np.ones(count)
    features = (random.normal(size=(size, 5)) * np.ones((count, 1))).astype(np.float32)
    return {
        "tokens": MadeStore(tokens),
        "warm": MadeStore(warm),
        "base": MadeStore(tokens, {"hidden": Vectors(*split_lengths(features))}),
    }


def reorder(stores: dict[str, MadeStore], order: Sequence[int]) -> dict[str, MadeStore]:
    """Return the stores with their records in another order."""
    return {
        name: MadeStore(
            store.signals.iloc[order].reset_index(drop=True),
            {kind: vectors.ordered(order) for kind, vectors in store.features.items()},
        )
        for name, store in stores.items()
    }


@pytest.fixture(scope="session")
def stores_of() -> Callable[..., dict[str, MadeStore]]:
    return make_stores


@pytest.fixture(scope="session")
def reordered() -> Callable[..., dict[str, MadeStore]]:
    return reorder


@pytest.fixture
def select(tmp_path: Path) -> Callable[..., tuple[pd.DataFrame, dict[str, Any]]]:
    """Run the selection stage, its reference arms first, and return the table and the meta it wrote."""

    def run(
        name: str, ratio: str, stores: dict[str, MadeStore], seed: int = 0, **parameters: Any
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        method = find_method(name)
        ratio = method.fixed_ratio or ratio
        references = {}
        for arm in method.needs(parse_parameters(method, parameters)).references(ratio == "auto"):
            references[arm] = tmp_path / arm / f"{seed}.parquet"
            select_records(arm, {}, ratio, seed, stores, {}, references[arm])
        out = tmp_path / name / f"{seed}.parquet"
        meta = select_records(name, parameters, ratio, seed, stores, references, out)
        return pd.read_parquet(out), meta

    return run
