"""Content embeddings by a sentence encoder: mean-pooled last hidden states, of length 1.

Pooling and normalisation are those of Sentence-BERT models such as all-MiniLM-L6-v2 (N. Reimers and I. Gurevych,
Sentence-BERT, EMNLP 2019, section 3).
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grads.config.probe import Probe
from grads.data.records.formatting import Example
from grads.data.records.record import Record, load_records
from grads.models.device import chosen_precision, device
from grads.models.flops import probe_flops, stored_parameters
from grads.models.load import load_encoder, read_tokenizer
from grads.models.memory import spent
from grads.probing.budget import Budget
from grads.runtime.files import sha256_file
from grads.runtime.manifest import verified
from grads.runtime.progress import Progress
from grads.signals.names import SENTENCES
from grads.signals.store import read_store, write_store


def probe_encoder(
    encoder_folder: Path, records_path: Path, tokens_folder: Path, probe: Probe, out: Path, label: str
) -> None:
    """Write the store of a sentence encoder: one vector for the text of every eligible record.

    Args:
        encoder_folder: a prepared encoder.
        records_path: Parquet of the domain's training records.
        tokens_folder: the store `tokens` of the model that will be trained, which says what is eligible.
        probe: token budget and precision.
        out: folder of the store.
        label: opens the progress lines.
    """
    started = time.monotonic()
    pool = read_store(tokens_folder).signals
    records = {record.id: record for record in load_records(records_path)}
    tokenizer = read_tokenizer(encoder_folder)
    model = load_encoder(encoder_folder, probe.precision)
    texts = {id_: text_of(records[id_]) for id_ in pool["id"]}
    progress = Progress(label, len(texts))
    budget = Budget(probe.token_budget)
    features, cut, tokens = sentence_embeddings(model, tokenizer, texts, budget, progress)
    meta = {"point": "encoder", "features": "mean-pooled, length 1", "cut_texts": cut, "gradient_passes": 0}
    meta |= {"encoder_sha256": verified(encoder_folder), "records_sha256": sha256_file(records_path)}
    meta |= {"token_budget": probe.token_budget, "deviations": budget.deviations}
    meta["flops"] = probe_flops(stored_parameters(encoder_folder), 0, tokens)
    meta |= {"precision": chosen_precision(probe.precision)} | spent(started, device())
    write_store(out, pool, {SENTENCES: features}, meta)


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
