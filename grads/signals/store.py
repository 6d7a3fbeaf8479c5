"""The signal store: a folder with what the probe measured, one row a record.

signals.parquet        id, prompt_tokens, response_tokens, truncated, then one column a signal
features-<kind>.npy    N x d float16 directions of length 1 (float32 those of a trajectory), row by row the records of
                       signals.parquet; one file for each kind of vector, whose l2 norms are the column <kind>_norm of
                       the signals
token_losses.parquet   id, losses: the negative log-likelihood of each response token; only where asked for
meta.json              what was measured, how, the hash of all that shaped it, and the SHA-256 of the files above
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from grads.data.frames import read_frame
from grads.data.positions import predicted
from grads.data.records.formatting import Example
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, read_object, reading, remove, sha256_file, write_json
from grads.signals.blocks import NORM, Rows, example_frame, make_rows
from grads.signals.finite import not_finite, not_finite_error
from grads.signals.measured import Measured
from grads.signals.names import FIRST
from grads.signals.vectors import Vectors

SIGNALS = "signals.parquet"
TOKEN_LOSSES = "token_losses.parquet"
META = "meta.json"
EXAMPLES = "examples.parquet"
FEATURES = "features-{}.npy"
# Records whose token losses are held at once.
GROUP = 4096


@dataclass(frozen=True)
class Store:
    """A signal store: N rows of `signals` in memory, and N vectors of each kind, which stay on disk until read.

    Attributes:
        signals: id, token counts, and a column a signal.
        features: vectors by kind.
        meta: what and how.
        folder: where it lies.
    """

    signals: pd.DataFrame
    features: Mapping[str, Vectors]
    meta: dict[str, Any]
    folder: Path

    @property
    def left_out(self) -> list[str]:
        """Ids of the records whose signals were not finite numbers and that `probe.nonfinite: skip` left out."""
        return self.meta.get("left_out", [])

    def token_losses(self) -> list[np.ndarray]:
        """Return the losses of the response tokens of each record, N arrays of float32.

        Raises:
            GradsError: the store holds none.
        """
        if TOKEN_LOSSES not in self.meta["sha256"]:
            raise GradsError(f"{self.folder} holds no token losses: ask its probe for 'token_losses'")
        return [np.asarray(row) for row in read_frame(self.folder / TOKEN_LOSSES, ["losses"])["losses"]]

    def parts(self) -> Iterator[Rows]:
        """Yield all rows in order, some at a time."""
        losses = self.token_losses() if TOKEN_LOSSES in self.meta["sha256"] else None
        for start in range(0, len(self.signals), GROUP):
            some = slice(start, start + GROUP)
            directions = {kind: np.asarray(vectors.directions[some]) for kind, vectors in self.features.items()}
            yield Rows(self.signals.iloc[some], directions, losses[some] if losses is not None else None)


def write_examples(folder: Path, examples: Sequence[Example]) -> None:
    """Put into a store what a model saw of its records: EXAMPLES, with `id`, `input_ids` and `response_mask`.

    The mask says of each token whether it is one that `response_nll` is the mean of. Rows are those of the store.

    Raises:
        GradsError: the store has a record that is not among the examples.
    """
    known = {example.id: example for example in examples}
    ids = read_frame(folder / SIGNALS, ["id"])["id"]
    if not known.keys() >= set(ids):
        raise _mixed(folder)
    chosen = [known[id_] for id_ in ids]
    masks = [np.isin(np.arange(len(example.input_ids)), predicted(example)) for example in chosen]
    table = {"id": ids.tolist(), "input_ids": [example.input_ids for example in chosen], "response_mask": masks}
    schema = pa.schema(
        [("id", pa.string()), ("input_ids", pa.list_(pa.int32())), ("response_mask", pa.list_(pa.bool_()))]
    )
    pq.write_table(pa.table(table, schema=schema), folder / EXAMPLES)


def write_store(
    folder: Path | str,
    signals: pd.DataFrame,
    vectors: Mapping[str, np.ndarray] | None = None,
    meta: dict[str, Any] | None = None,
) -> None:
    """Write a store whose parts are in memory, as a whole or not at all.

    Args:
        folder: replaced if it is there.
        signals: N rows, beginning with the columns of `example_frame`; no signal is NaN.
        vectors: N x d by kind.
        meta: what and how; the number of records and the digests are added.

    Raises:
        GradsError: a signal or vector is not a number: the model has diverged.
    """
    for kind, given in (vectors or {}).items():
        if len(given) != len(signals):
            raise ValueError(f"{len(given)} vectors '{kind}' for {len(signals)} records")
    columns = {name: signals[name].to_numpy() for name in signals.columns if name not in FIRST}
    rows = make_rows(signals[list(FIRST)], Measured(columns, dict(vectors or {})))
    bad = not_finite(rows)
    if bad.any():
        raise not_finite_error(rows, bad)
    write_parts(folder, [rows], signals["id"].tolist(), meta)


def write_parts(
    folder: Path | str, parts: Iterable[Rows], ids: Sequence[str], meta: Mapping[str, Any] | None = None
) -> None:
    """Write a store from parts, one in memory at a time, as a whole or not at all.

    Args:
        folder: replaced if it is there.
        parts: together a row for each id, in any order; of a record that comes twice, the last one counts.
        ids: of all records, in the store's order.
        meta: what and how; the number of records and the digests are added.
    """
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        place = {id_: position for position, id_ in enumerate(ids)}
        frames = []
        features = {}
        losses = _Losses(temporary / "losses", ids)
        for part in parts:
            where = [place[id_] for id_ in part.signals["id"]]
            frames.append(part.signals.assign(place=where))
            for kind, directions in part.directions.items():
                if kind not in features:
                    shape = (len(ids), directions.shape[1])
                    path = temporary / FEATURES.format(kind)
                    features[kind] = np.lib.format.open_memmap(path, mode="w+", dtype=directions.dtype, shape=shape)
                features[kind][where] = directions
            losses.add(where, part.token_losses)
        for vectors in features.values():
            vectors.flush()
        losses.finish(temporary / TOKEN_LOSSES)
        _joined(frames, len(ids)).to_parquet(temporary / SIGNALS, index=False)
        digests = {path.name: sha256_file(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / META, {**(meta or {}), "records": len(ids), "sha256": digests})


def _joined(frames: list[pd.DataFrame], count: int) -> pd.DataFrame:
    if not frames:
        return example_frame([])
    whole = pd.concat(frames, ignore_index=True).drop_duplicates("place", keep="last").sort_values("place")
    if len(whole) != count:
        raise ValueError(f"{len(whole)} of {count} records were measured")
    return whole.drop(columns="place").reset_index(drop=True)


class _Losses:
    """Token losses, gathered in a file until all are known and can be written in the records' order."""

    def __init__(self, path: Path, ids: Sequence[str]) -> None:
        self.path = path
        self.ids = ids
        self.file: IO[bytes] | None = None
        self.start, self.stop = (np.zeros(len(ids), dtype=np.int64) for _ in range(2))
        self.end = 0

    def add(self, where: list[int], losses: Sequence[np.ndarray] | None) -> None:
        """Take the losses of the records at these places."""
        if losses is None:
            return
        file = self.file = self.file or self.path.open("wb")
        for place, values in zip(where, losses, strict=True):
            file.write(np.asarray(values, dtype=np.float32).tobytes())
            self.start[place] = self.end
            self.stop[place] = self.end + len(values)
            self.end += len(values)

    def finish(self, out: Path) -> None:
        """Write them in order, if there are any, and remove the file."""
        if self.file is None:
            return
        self.file.close()
        values = np.memmap(self.path, dtype=np.float32, mode="r") if self.end else np.empty(0, dtype=np.float32)
        schema = pa.schema([("id", pa.string()), ("losses", pa.list_(pa.float32()))])
        with pq.ParquetWriter(out, schema) as writer:
            for first in range(0, len(self.ids), GROUP):
                places = range(first, min(first + GROUP, len(self.ids)))
                rows = [np.asarray(values[self.start[place] : self.stop[place]]) for place in places]
                writer.write_table(pa.table([[self.ids[place] for place in places], rows], schema=schema))
        remove(self.path)


def read_meta(folder: Path | str) -> dict[str, Any]:
    """Read what was measured and how.

    Raises:
        GradsError: the folder holds no store, or `meta.json` is damaged.
    """
    path = Path(folder) / META
    if not path.is_file():
        raise GradsError(f"{folder} holds no signals: run its probe again")
    meta = read_object(path, _again(folder))
    names = meta.get("sha256")
    records = meta.get("records")
    if not isinstance(names, dict) or SIGNALS not in names or not isinstance(records, int):
        raise GradsError(f"{path} is damaged (it does not say what the store holds): {_again(folder)}")
    return meta


def read_signals(folder: Path | str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read columns of a store's signals, all if none are given; checked like `read_store`, vectors left alone."""
    path = Path(folder) / SIGNALS
    meta = read_meta(folder)
    _check_file(path, meta["sha256"][SIGNALS])
    signals = read_frame(path, columns, needed=["id"])
    if len(signals) != meta["records"]:
        raise _mixed(Path(folder))
    return signals


def read_store(folder: Path | str) -> Store:
    """Read a store; vectors are memory-mapped.

    Every file is compared with the SHA-256 that was written with it: a store is small compared with its model.

    Raises:
        GradsError: the folder holds none, or a file of it is damaged or of another store.
    """
    folder = Path(folder)
    meta = read_meta(folder)
    signals = read_signals(folder)
    for name, sha256 in meta["sha256"].items():
        if name != SIGNALS:
            _check_file(folder / name, sha256)
    features = {}
    before, after = FEATURES.split("{}")
    for name in meta["sha256"]:
        if name.startswith(before) and name.endswith(after):
            kind = name.removeprefix(before).removesuffix(after)
            with reading(folder / name, _again(folder)):
                directions = np.load(folder / name, mmap_mode="r", allow_pickle=False)
            norms = signals[kind + NORM].to_numpy() if kind + NORM in signals else np.empty(0)
            features[kind] = Vectors(directions, norms)
            if len(directions) != len(norms):
                raise _mixed(folder)
    return Store(signals, features, meta, folder)


def _check_file(path: Path, sha256: str) -> None:
    """Refuse a file of a store that is not the one that was written."""
    with reading(path, _again(path.parent)):
        found = sha256_file(path)
    if found != sha256:
        raise _mixed(path.parent, f" ({path.name} is not what its probe wrote)")


def _again(folder: Path | str) -> str:
    return f"delete {folder} and run its probe again"


def _mixed(folder: Path, why: str = "") -> GradsError:
    return GradsError(f"the files of {folder} do not belong together{why}: {_again(folder)}")
