"""The signal store: a folder with what the probe measured, one row a record.

signals.parquet    id, prompt_tokens, response_tokens, truncated, then one column a signal
features.npy       N x d float32, row by row the records of signals.parquet; only where there are vectors
meta.json          what was measured, how, and the SHA-256 of the files above
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grads.data.formatting import Example
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, read_json, sha256_file, write_json

SIGNALS, FEATURES, META = "signals.parquet", "features.npy", "meta.json"


@dataclass(frozen=True)
class Store:
    """A signal store in memory: a row of `signals` and of `features` (N x d, if there are any) a record."""

    signals: pd.DataFrame
    features: np.ndarray | None
    meta: dict[str, Any]


def example_frame(examples: Sequence[Example]) -> pd.DataFrame:
    """Return the columns that every store begins with: id, prompt_tokens, response_tokens, truncated."""
    rows = [(e.id, e.prompt_tokens, e.response_tokens, e.truncated) for e in examples]
    frame = pd.DataFrame(rows, columns=["id", "prompt_tokens", "response_tokens", "truncated"])
    return frame.astype({"id": "str", "prompt_tokens": "int64", "response_tokens": "int64", "truncated": "bool"})


def write_store(
    folder: Path | str, signals: pd.DataFrame, features: np.ndarray | None = None, meta: dict[str, Any] | None = None
) -> None:
    """Write a store as a whole or not at all.

    Args:
        folder: replaced if it is there.
        signals: N rows, beginning with the columns of `example_frame`; no signal is NaN.
        features: N x d, one vector a record.
        meta: what and how; the number of records and the digests are added.

    Raises:
        GradsError: a signal or feature is not a number: the model has diverged.
    """
    if features is not None and len(features) != len(signals):
        raise ValueError(f"{len(features)} feature vectors for {len(signals)} records")
    _refuse_not_a_number(signals, features)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        signals.to_parquet(temporary / SIGNALS, index=False)
        digests = {SIGNALS: sha256_file(temporary / SIGNALS)}
        if features is not None:
            np.save(temporary / FEATURES, features)
            digests[FEATURES] = sha256_file(temporary / FEATURES)
        write_json(temporary / META, {**(meta or {}), "records": len(signals), "sha256": digests})


def read_store(folder: Path | str) -> Store:
    """Read a store.

    Raises:
        GradsError: the folder holds none, or its parts do not belong together.
    """
    folder = Path(folder)
    if not (folder / META).is_file():
        raise GradsError(f"{folder} holds no signals: run its probe again")
    meta = read_json(folder / META)
    signals = pd.read_parquet(folder / SIGNALS)
    features = np.load(folder / FEATURES, allow_pickle=False) if FEATURES in meta["sha256"] else None
    if len(signals) != meta["records"] or (features is not None and len(features) != meta["records"]):
        raise GradsError(f"the files of {folder} do not belong together: delete it and run its probe again")
    return Store(signals, features, meta)


def _refuse_not_a_number(signals: pd.DataFrame, features: np.ndarray | None) -> None:
    values = signals.select_dtypes("number")
    bad = ~np.isfinite(values.to_numpy(dtype=float)).all(axis=1)
    if features is not None:
        bad |= ~np.isfinite(features).all(axis=1)
    if bad.any():
        first = signals["id"][int(bad.argmax())]
        raise GradsError(
            f"{int(bad.sum())} of {len(signals)} records (first: {first}) have signals that are not finite numbers: "
            "lower training.learning_rate if the preliminary run diverged, or probe in float32"
        )
