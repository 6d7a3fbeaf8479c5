"""The probe's stages: from training records to a signal store.

`tokens` needs the tokenizer only and says which records are eligible; `base` reads the untrained weights; `warm` the
weights after the preliminary epoch.
"""

import time
from pathlib import Path
from typing import Any

import pandas as pd

from grads.data.formatting import Formatter, Tokenized
from grads.data.records import load_records
from grads.models.load import load_model, load_tokenizer
from grads.probe.gradients import COLUMNS, gradient_statistics
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
    model_folder: Path, records_path: Path, form: Format, training: Training, probe: Probe, out: Path, label: str
) -> None:
    """Write the store `base`: the mean last hidden state of every eligible record, by the untrained weights.

    The arguments are those of `probe_tokens`; `probe` has token budget and precision, `label` opens the progress lines.
    """
    started = time.monotonic()
    tokenizer, tokenized, meta = _examples(model_folder, records_path, form, training)
    model = load_model(model_folder, probe.precision)
    progress = Progress(label, len(tokenized.examples))
    features = mean_hidden_states(model, tokenized.examples, probe.token_budget, tokenizer.pad_token_id, progress)
    meta |= {"point": "base", "features": "mean last hidden state", **probe.model_dump(), **_seconds(started)}
    write_store(out, example_frame(tokenized.examples), features, meta)


def probe_warm(
    model_folder: Path,
    trained_folder: Path,
    records_path: Path,
    form: Format,
    training: Training,
    probe: Probe,
    out: Path,
    label: str,
) -> None:
    """Write the store of a `warm` point: the gradient statistics of every eligible record after the preliminary epoch.

    The arguments are those of `probe_base`; `trained_folder` holds the adapter or the weights of the preliminary run.
    """
    started = time.monotonic()
    tokenizer, tokenized, meta = _examples(model_folder, records_path, form, training)
    model = load_model(model_folder, probe.precision, trained_folder)
    progress = Progress(label, len(tokenized.examples))
    rows = gradient_statistics(model, tokenized.examples, probe.token_budget, tokenizer.pad_token_id, progress)
    signals = pd.DataFrame(rows, columns=list(COLUMNS), dtype="float64")
    meta |= {"point": "warm", **probe.model_dump(), **_seconds(started)}
    write_store(out, pd.concat([example_frame(tokenized.examples), signals], axis=1), meta=meta)


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
