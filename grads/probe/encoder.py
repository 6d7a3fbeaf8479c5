"""Content embeddings by a sentence encoder: mean-pooled last hidden states, of length 1.

Pooling and normalisation are those of Sentence-BERT models such as all-MiniLM-L6-v2 (N. Reimers and I. Gurevych,
Sentence-BERT, EMNLP 2019, section 3).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grads.data.batches import token_budget_batches
from grads.data.records import Record, load_records
from grads.models.device import device, dtype
from grads.models.flops import probe_flops, stored_parameters
from grads.models.memory import spent
from grads.probe.store import read_store, write_store
from grads.runtime.progress import Progress
from grads.study.config import Probe
from grads.study.measures import SENTENCES


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
    from transformers import AutoModel, AutoTokenizer

    started = time.monotonic()
    pool = read_store(tokens_folder).signals
    records = {record.id: record for record in load_records(records_path)}
    tokenizer = AutoTokenizer.from_pretrained(str(encoder_folder), local_files_only=True)
    model = AutoModel.from_pretrained(
        str(encoder_folder), dtype=dtype(probe.precision), local_files_only=True, use_safetensors=True
    )
    texts = [text_of(records[id_]) for id_ in pool["id"]]
    progress = Progress(label, len(texts))
    features, cut, tokens = sentence_embeddings(
        model.to(device()).eval(), tokenizer, texts, probe.token_budget, progress
    )
    meta = {"point": "encoder", "features": "mean-pooled, length 1", "cut_texts": cut, "gradient_passes": 0}
    meta["flops"] = probe_flops(stored_parameters(encoder_folder), 0, tokens)
    meta |= {"precision": probe.precision} | spent(started, device())
    write_store(out, pool, {SENTENCES: features}, meta)


def text_of(record: Record) -> str:
    """Return what is embedded of a record: earlier turns, instruction, input if any, and answer, a line each."""
    earlier = (turn.content for turn in record.turns)
    return "\n".join(part for part in (*earlier, record.instruction, record.input, record.output) if part)


@torch.inference_mode()
def sentence_embeddings(
    model: Any, tokenizer: Any, texts: Sequence[str], token_budget: int, progress: Progress | None = None
) -> tuple[np.ndarray, int, int]:
    """Return N x width float32 vectors of length 1, how many texts were cut to the encoder's longest input, and tokens.

    The tokens are those of all texts together, without what was cut.
    """
    longest = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    whole = tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    cut = sum(len(ids) > longest for ids in whole)
    features = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    lengths = [min(len(ids), longest) for ids in whole]
    for batch in token_budget_batches(lengths, token_budget):
        inputs = tokenizer(
            [texts[i] for i in batch], truncation=True, max_length=longest, padding=True, return_tensors="pt"
        ).to(model.device)
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        hidden = model(**inputs)[0].float()
        means = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        features[batch] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        if progress is not None:
            progress.advance(len(batch))
    return features, cut, sum(lengths)
