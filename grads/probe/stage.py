"""The probe's stages: from training records to a signal store.

`tokens` needs the tokenizer only and says which records are eligible; `base` reads the untrained weights; `warm` the
weights after the preliminary epoch. What each measures is what the methods of a study ask for, together. A third store
of gradients, `during`, is made by a training run that is watched (`grads.probe.during`); embeddings of a sentence
encoder are a store of their own (`grads.probe.encoder`).
"""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grads.data.formatting import Formatter, Tokenized
from grads.data.records import load_records
from grads.models.adapter import fresh_adapter
from grads.models.causal import unwrap
from grads.models.load import load_model, load_tokenizer
from grads.probe.gradients import columns, gradient_statistics
from grads.probe.hidden import mean_hidden_states
from grads.probe.store import example_frame, write_store
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress
from grads.study.config import Format, Probe, Training


def probe_tokens(model_folder: Path, records_path: Path, form: Format, training: Training, out: Path) -> None:
    """Write the store `tokens`: id and token counts of every eligible record.

    Args:
        model_folder: a prepared model; only its tokenizer is read.
        records_path: Parquet of the domain's training records.
        form: how a record becomes a prompt.
        training: says how long a record may be and what happens to longer ones.
        out: folder of the store.

    Raises:
        GradsError: no record is eligible.
    """
    started = time.monotonic()
    _, tokenized, meta = _examples(model_folder, records_path, form, training)
    write_store(out, example_frame(tokenized.examples), meta={**meta, "point": "tokens", **_seconds(started)})


def probe_base(
    model_folder: Path,
    records_path: Path,
    form: Format,
    training: Training,
    probe: Probe,
    out: Path,
    label: str,
    measures: Collection[str] = ("hidden",),
    adapter_seed: int = 0,
) -> None:
    """Write the store `base`: what the untrained weights say of every eligible record.

    The arguments are those of `probe_tokens`, and

    Args:
        probe: token budget and precision.
        label: opens the progress lines.
        measures: `hidden` for the mean last hidden state, `gradients` for their statistics, with `adapter` or
            `mean_abs` for more of them.
        adapter_seed: makes the adapter whose gradients are measured: the one that training with this seed begins with.
            Its B is 0, so only the gradient of B is not.
    """
    started = time.monotonic()
    tokenizer, tokenized, meta = _examples(model_folder, records_path, form, training)
    model = load_model(model_folder, probe.precision)
    batches = (tokenized.examples, probe.token_budget, tokenizer.pad_token_id, Progress(label, len(tokenized.examples)))
    signals, features = example_frame(tokenized.examples), None
    if "adapter" in measures:
        model = fresh_adapter(model, training.adapter, adapter_seed)
        meta |= {"adapter": "B only: A has no gradient while B is 0", "adapter_seed": adapter_seed}
    if "gradients" in measures:
        if "hidden" in measures:
            features = np.empty((len(tokenized.examples), unwrap(model).config.hidden_size), dtype=np.float32)
        signals = with_statistics(signals, gradient_statistics(model, *batches, measures, features), measures)
    else:
        features = mean_hidden_states(model, *batches)
    meta |= {"point": "base", "measures": sorted(measures), "gradient_passes": int("gradients" in measures)}
    meta |= ({"features": "mean last hidden state"} if features is not None else {}) | probe.model_dump()
    write_store(out, signals, features, meta | _seconds(started))


def probe_warm(
    model_folder: Path,
    trained_folder: Path,
    records_path: Path,
    form: Format,
    training: Training,
    probe: Probe,
    out: Path,
    label: str,
    measures: Collection[str] = ("gradients",),
) -> None:
    """Write the store of a `warm` point: the gradient statistics of every eligible record after the preliminary epoch.

    The arguments are those of `probe_base`; `trained_folder` holds the adapter or the weights of the preliminary run.
    """
    started = time.monotonic()
    tokenizer, tokenized, meta = _examples(model_folder, records_path, form, training)
    model = load_model(model_folder, probe.precision, trained_folder)
    batches = (tokenized.examples, probe.token_budget, tokenizer.pad_token_id, Progress(label, len(tokenized.examples)))
    rows = gradient_statistics(model, *batches, measures)
    meta |= {"point": "warm", "measures": sorted(measures), "gradient_passes": 1, **probe.model_dump()}
    signals = with_statistics(example_frame(tokenized.examples), rows, measures)
    write_store(out, signals, meta=meta | _seconds(started))


def with_statistics(frame: pd.DataFrame, rows: list[dict[str, float]], measures: Collection[str]) -> pd.DataFrame:
    """Return the columns that every store begins with, and the statistics of the same examples after them."""
    return pd.concat([frame, pd.DataFrame(rows, columns=list(columns(measures)), dtype="float64")], axis=1)


def _examples(
    model_folder: Path, records_path: Path, form: Format, training: Training
) -> tuple[Any, Tokenized, dict[str, Any]]:
    """Return the tokenizer, the eligible examples, and how they were made, for the store's meta."""
    tokenizer = load_tokenizer(model_folder)
    formatter = Formatter(tokenizer, form)
    records = load_records(records_path)
    tokenized = formatter.tokenize(records, training.max_length, training.over_length)
    if not tokenized.examples:
        raise GradsError(
            f"{records_path}: none of {len(records)} records fits into training.max_length = {training.max_length} "
            "tokens: raise it, or set training.over_length to 'truncate'"
        )
    meta = {
        "format_sha256": formatter.sha256,
        "max_length": training.max_length,
        "over_length": tokenized.over_length,
        "truncated": tokenized.truncated,
    }
    return tokenizer, tokenized, meta


def _seconds(started: float) -> dict[str, float]:
    return {"seconds": round(time.monotonic() - started, 3)}
