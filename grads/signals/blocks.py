"""Some records of a store: what was measured of them, on its way from a batch to the store."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from grads.data.records.formatting import Example
from grads.signals.measured import Measured
from grads.signals.names import FIRST, TRAJECTORY_LOSSES
from grads.signals.vectors import split_lengths

# Losses fall by orders of magnitude on the way, and methods compare how: half of that is less than float16 keeps.
PRECISE = frozenset({TRAJECTORY_LOSSES})
NORM = "_norm"
VECTOR = "vector:"
LOSSES = "token_losses"
NOTES = b"notes"


@dataclass(frozen=True)
class Rows:
    """Some records of a store.

    Attributes:
        signals: n rows; id and token counts, then a column a signal, `<kind>_norm` of each kind of vector among them.
        directions: n x d float16 of length 1, by kind of vector; those of PRECISE in float32.
        token_losses: n arrays of float32, the negative log-likelihood of each response token; None: not measured.
        notes: what happened while they were measured, as JSON values.
    """

    signals: pd.DataFrame
    directions: Mapping[str, np.ndarray] = field(default_factory=dict)
    token_losses: Sequence[np.ndarray] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def taken(self, chosen: np.ndarray, notes: Mapping[str, Any]) -> "Rows":
        """Return those of the rows that n booleans choose, with other notes."""
        losses = self.token_losses
        if losses is not None:
            losses = [row for row, kept in zip(losses, chosen, strict=True) if kept]
        directions = {kind: vectors[chosen] for kind, vectors in self.directions.items()}
        return Rows(self.signals[chosen].reset_index(drop=True), directions, losses, notes)

    def to_bytes(self) -> bytes:
        """Return the rows as a stream of Apache Arrow, which says of itself what it holds."""
        table = pa.Table.from_pandas(self.signals, preserve_index=False)
        for kind, directions in self.directions.items():
            entries = pa.array(np.ascontiguousarray(directions).reshape(-1), pa.from_numpy_dtype(directions.dtype))
            table = table.append_column(VECTOR + kind, pa.FixedSizeListArray.from_arrays(entries, directions.shape[1]))
        if self.token_losses is not None:
            table = table.append_column(LOSSES, pa.array(list(self.token_losses), pa.list_(pa.float32())))
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), NOTES: json.dumps(dict(self.notes))})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Rows":
        """Return the rows that `to_bytes` wrote."""
        table = pa.ipc.open_stream(content).read_all()
        kinds = [name.removeprefix(VECTOR) for name in table.column_names if name.startswith(VECTOR)]
        notes = json.loads((table.schema.metadata or {})[NOTES])
        directions = {kind: _matrix(table.column(VECTOR + kind)) for kind in kinds}
        losses = None
        if LOSSES in table.column_names:
            losses = [np.asarray(row.values, dtype=np.float32) for row in table.column(LOSSES)]
        plain = table.drop_columns([*(VECTOR + kind for kind in kinds), *([LOSSES] if losses is not None else [])])
        return cls(plain.to_pandas(), directions, losses, notes)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    width = column.type.list_size
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float16)


def example_frame(examples: Sequence[Example]) -> pd.DataFrame:
    """Return the columns that every store begins with: id, prompt_tokens, response_tokens, truncated."""
    rows = [(e.id, e.prompt_tokens, e.response_tokens, e.truncated) for e in examples]
    return pd.DataFrame(rows, columns=list(FIRST)).astype(FIRST)


def make_rows(frame: pd.DataFrame, measured: Measured, notes: Mapping[str, Any] | None = None) -> Rows:
    """Return the rows of n records: `frame` as from `example_frame`, and what was measured of the same records."""
    directions = {}
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in measured.columns.items()}
    for kind, vectors in measured.vectors.items():
        directions[kind], columns[kind + NORM] = split_lengths(vectors, np.float32 if kind in PRECISE else np.float16)
    signals = pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)
    return Rows(signals, directions, measured.token_losses or None, notes or {})
