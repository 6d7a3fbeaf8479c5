"""The probe's variants, each made once (not timed) from its settings and then a function of the examples.

This is the one module that knows the probe's interface. A new variant is a function and a line in `VARIANTS`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.examples import Item
from benchmarks.peers import PADDING, Run, compile_layers
from benchmarks.protocol import Settings, Variant
from grads.data.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.probe.encoder import sentence_embeddings
from grads.probe.gradients import gradient_statistics
from grads.study.config import Adapter


def signals(settings: Settings, compiled: bool) -> Run:
    """Statistics of the embedding's and the head's gradients, and the response NLL: what the method `grads` reads."""
    model = _frozen(settings, compiled)
    return lambda examples: gradient_statistics(model, examples, settings.token_budget, PADDING)


def signals_hidden(settings: Settings, compiled: bool) -> Run:
    """The same, and the mean last hidden states from the same pass."""
    model = _frozen(settings, compiled)

    def run(examples: Sequence[Example]) -> None:
        features = np.empty((len(examples), model.config.hidden_size), dtype=np.float32)
        gradient_statistics(model, examples, settings.token_budget, PADDING, features=features)

    return run


def signals_warm(settings: Settings, compiled: bool) -> Run:
    """The `grads` signals of a model with an adapter, which is kept as a low-rank path."""
    model = _warm(settings)
    return lambda examples: gradient_statistics(model, examples, settings.token_budget, PADDING)


def signals_adapter(settings: Settings, compiled: bool) -> Run:
    """The same, and the statistics of the adapter's gradients."""
    model = _warm(settings)
    return lambda examples: gradient_statistics(model, examples, settings.token_budget, PADDING, measures={"adapter"})


def encoder(settings: Settings, compiled: bool) -> Run:
    """Sentence-encoder embeddings of the records' texts."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(settings.encoder, local_files_only=True)
    model = AutoModel.from_pretrained(settings.encoder, dtype=torch.bfloat16, local_files_only=True).eval()

    def run(examples: Sequence[Example]) -> None:
        texts = [example.text for example in examples if isinstance(example, Item)]
        sentence_embeddings(model, tokenizer, texts, settings.token_budget)

    return run


VARIANTS: dict[str, Variant] = {
    "signals": Variant("`grads` signals", signals),
    "signals-hidden": Variant("`grads` signals and mean hidden states", signals_hidden),
    "signals-warm": Variant("`grads` signals at `warm` (adapter as a low-rank path)", signals_warm, compilable=False),
    "signals-adapter": Variant("`grads` and adapter signals at `warm`", signals_adapter, compilable=False),
    "encoder": Variant("sentence encoder", encoder, compilable=False),
}


def _frozen(settings: Settings, compiled: bool) -> Any:
    model = load_model(settings.model, "bf16").requires_grad_(False)
    if compiled:
        compile_layers(model)
    return model


def _warm(settings: Settings) -> nn.Module:
    model = fresh_adapter(load_model(settings.model, "bf16"), Adapter(), seed=0)
    for name, part in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(part, std=1e-3)
    return model.requires_grad_(False)
