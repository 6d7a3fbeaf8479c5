"""Synthetic signals of any size: what a method's needs name, in files as the probe's stores have them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from grads.data.records.record import make_record, write_records
from grads.selection.contract import Needs
from grads.signals.names import LOSSES, SENTENCES, TRAJECTORY_LOSSES, VECTORS
from grads.signals.vectors import Vectors, split_lengths
from grads.study.paths import TRAIN, TRAJECTORY, store_point

CHECKPOINTS = 8
# Records of a validation or an anchor set.
OTHERS = 100
# Vectors lie around so many centres, and stray from them by so much of a centre's length.
CENTRES, SPREAD = 200, 0.7
# Rows that are made at once.
CHUNK = 10_000
STATISTICS = ("l2", "max", "min", "mean", "std", "mean_abs")
WORDS = 5_000


@dataclass(frozen=True)
class SyntheticStore:
    """A signal store as the selection stage reads it."""

    signals: pd.DataFrame
    features: Mapping[str, Vectors] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def synthetic_stores(needs: Needs, count: int, dimensions: int, folder: Path) -> dict[str, SyntheticStore]:
    """Return `tokens` and the stores that are needed, of `count` records (or OTHERS), with vectors in files."""
    stores = {"tokens": SyntheticStore(_tokens(np.random.default_rng(0), count, "r"))}
    for place, (name, measures) in enumerate(sorted(needs.stores.items())):
        random = np.random.default_rng(1 + place)
        tokens = stores["tokens"].signals if store_point(name)[2] == TRAIN else _tokens(random, OTHERS, "o")
        width = CHECKPOINTS if name == TRAJECTORY else dimensions
        known = (*VECTORS, SENTENCES) if name != TRAJECTORY else (TRAJECTORY_LOSSES,)
        kinds = [kind for kind in known if kind in measures]
        features = {kind: _vectors(random, len(tokens), width, folder / f"{name}-{kind}.npy") for kind in kinds}
        stores[name] = SyntheticStore(_columns(random, tokens, measures), features)
    return stores


def synthetic_texts(needs: Needs, count: int, folder: Path) -> dict[str, Path]:
    """Write the texts that are needed, and return where they lie by split; each has a number `quality` too."""
    found = {}
    for split in sorted(needs.texts):
        random = np.random.default_rng(len(split))
        ids = (
            _tokens(np.random.default_rng(0), count, "r")["id"] if split == TRAIN else [f"o{i}" for i in range(OTHERS)]
        )
        # Words by Zipf's law, as texts have them.
        words = np.minimum(random.zipf(1.3, size=(len(ids), 60)), WORDS)
        rows = (" ".join(f"w{word}" for word in row) for row in words)
        records = (make_record(text[:100], "", text[100:]) for text in rows)
        named = (
            replace(record, id=id_, metadata=json.dumps({"quality": float(quality)}))
            for record, id_, quality in zip(records, ids, random.uniform(size=len(ids)), strict=True)
        )
        write_records(folder / f"{split}.parquet", named)
        found[split] = folder / f"{split}.parquet"
    return found


def _tokens(random: np.random.Generator, count: int, letter: str) -> pd.DataFrame:
    ids = [f"{letter}{value:09x}" for value in random.permutation(count)]
    lengths = {f"{part}_tokens": 1 + random.geometric(0.01, count) for part in ("prompt", "response")}
    return pd.DataFrame({"id": ids, **lengths, "truncated": False})


def _columns(random: np.random.Generator, tokens: pd.DataFrame, measures: frozenset[str]) -> pd.DataFrame:
    count, found = len(tokens), {"response_nll": random.lognormal(0.5, 0.5, len(tokens))}
    layers = ["embedding", "head"] * ("gradients" in measures) + ["adapter"] * ("adapter" in measures)
    for layer in [*layers, *(["weights"] * ("weights" in measures))]:
        size = random.lognormal(0.0, 0.8, count) * found["response_nll"]
        shares = {name: random.uniform(0.01, 0.5, count) for name in STATISTICS} | {"l2": np.ones(count)}
        found |= {f"{layer}_{name}": size * share * (-1 if name == "min" else 1) for name, share in shares.items()}
    for measure, columns in LOSSES.items():
        if measure in measures:
            found |= {name: random.lognormal(0.5, 0.5, count) for name in columns}
    return tokens.assign(**found)


def _vectors(random: np.random.Generator, count: int, dimensions: int, path: Path) -> Vectors:
    """Return vectors around centres, of very different lengths; their directions are mapped from a file, as stores'."""
    centres = random.normal(size=(CENTRES, dimensions)) + 0.5
    weights = random.dirichlet(np.ones(CENTRES))
    directions = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count, dimensions))
    norms = np.empty(count)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        rows = centres[random.choice(CENTRES, size, p=weights)] + SPREAD * random.normal(size=(size, dimensions))
        rows *= random.lognormal(0.0, 0.5, (size, 1))
        directions[start : start + size], norms[start : start + size] = split_lengths(rows)
    directions.flush()
    del directions
    return Vectors(np.load(path, mmap_mode="r"), norms)
