"""Content embeddings by a sentence encoder: mean-pooled last hidden states, of length 1.

Pooling and normalisation are those of Sentence-BERT models such as all-MiniLM-L6-v2 (N. Reimers and I. Gurevych,
Sentence-BERT, EMNLP 2019, section 3).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.training import Training
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import Record, load_records
from grads.models.device import chosen_precision, device
from grads.models.flops import probe_flops, stored_parameters
from grads.models.load import load_encoder, load_tokenizer, read_tokenizer
from grads.models.memory import spent
from grads.probing.budget import Budget
from grads.probing.eligible import nothing_eligible
from grads.runtime.files import sha256_file
from grads.runtime.manifest import verified
from grads.runtime.progress import Progress
from grads.signals.names import SENTENCES
from grads.signals.store import example_frame, write_store


@dataclass(frozen=True)
class Readable:
    """Records, and what says which of them are eligible: those that fit into what the trained model reads of a record.

    Attributes:
        records: their Parquet file.
        model: the prepared model that will be trained, or its tokenizer and config alone.
        form: how records become its prompts.
        training: says how long a record may be.
    """

    records: Path
    model: Path
    form: Format
    training: Training


def probe_encoder(encoder_folder: Path, readable: Readable, probe: Probe, out: Path, label: str) -> None:
    """Write the store of a sentence encoder: one vector for the text of every eligible record.

    Args:
        encoder_folder: a prepared encoder.
        readable: the records.
        probe: token budget and precision.
        out: folder of the store.
        label: opens the progress lines.

    Raises:
        GradsError: no record is eligible.
    """
    started = time.monotonic()
    records = load_records(readable.records)
    formatter = Formatter(load_tokenizer(readable.model), readable.form)
    eligible = formatter.tokenize(records, readable.training.max_length, readable.training.over_length).examples
    if not eligible:
        raise nothing_eligible(readable.records, readable.training)
    written = {record.id: text_of(record) for record in records}
    tokenizer = read_tokenizer(encoder_folder)
    model = load_encoder(encoder_folder, probe.precision)
    texts = {example.id: written[example.id] for example in eligible}
    progress = Progress(label, len(texts))
    budget = Budget(probe.token_budget)
    features, cut, tokens = sentence_embeddings(model, tokenizer, texts, budget, progress)
    meta = {"point": "encoder", "features": "mean-pooled, length 1", "cut_texts": cut, "gradient_passes": 0}
    meta |= {"encoder_sha256": verified(encoder_folder), "records_sha256": sha256_file(readable.records)}
    meta |= {"token_budget": probe.token_budget, "deviations": budget.deviations}
    meta["flops"] = probe_flops(stored_parameters(encoder_folder), 0, tokens)
    meta |= {"precision": chosen_precision(probe.precision)} | spent(started, device())
    write_store(out, example_frame(eligible), {SENTENCES: features}, meta)


def text_of(record: Record) -> str:
    """Return what is embedded of a record: earlier turns, instruction, input if any, and answer, a line each."""
    earlier = (turn.content for turn in record.turns)
    return "\n".join(part for part in (*earlier, record.instruction, record.input, record.output) if part)


@torch.inference_mode()
def sentence_embeddings(
    model: Any, tokenizer: Any, texts: Mapping[str, str], budget: Budget, progress: Progress | None = None
) -> tuple[np.ndarray, int, int]:
    """Return N x width float32 vectors of length 1, how many texts were cut to the encoder's longest input, and tokens.

    The tokens are those of all texts together, without what was cut.

    Args:
        model: the encoder.
        tokenizer: its own.
        texts: N by id.
        budget: most tokens in one batch, padding included; lowered where memory is short.
        progress: told how many texts are done.
    """
    longest = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    written = list(texts.values())
    whole = tokenizer(written, truncation=False, verbose=False)["input_ids"]
    cut = sum(len(ids) > longest for ids in whole)
    read = [Example(id_, ids[:longest], 0) for id_, ids in zip(texts, whole, strict=True)]
    features = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)

    def embed(places: list[int]) -> np.ndarray:
        inputs = tokenizer(
            [written[i] for i in places], truncation=True, max_length=longest, padding=True, return_tensors="pt"
        ).to(model.device)
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        hidden = model(**inputs)[0].float()
        means = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(means, dim=1).cpu().numpy()

    budget.fit(model.device, read, embed)
    for batch, rows in budget.batches(read, embed):
        features[batch] = rows
        if progress is not None:
            progress.advance(len(batch))
    return features, cut, sum(len(example.input_ids) for example in read)
