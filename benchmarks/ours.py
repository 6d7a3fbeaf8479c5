"""The probe's variants, each made once (not timed) from its settings and then a function of the examples.

This is the one module that knows the probe's interface. A new variant is a function and a line in `VARIANTS`.
"""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import nn

from benchmarks.examples import Item
from benchmarks.peers import PADDING, Run
from benchmarks.protocol import Settings, Variant
from grads.config.features import Features
from grads.config.training import Adapter
from grads.data.batches import token_budget_batches
from grads.data.records.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.probing.budget import Budget
from grads.probing.encoder import sentence_embeddings
from grads.probing.gradients.passes import Pass

# All that one forward and one backward pass give, but what is made on request only.
ALL = (
    "gradients", "prompt", "el2n", "low_perplexity", "sgd_features", "hidden", "weighted_hidden", "layer_hidden",
    "embeddings",
)  # fmt: skip
# All entries of all modules' gradients would cost many times the pass: a fraction of both.
DENSE = Features(projection="dense", dimension=64, modules=["*.q_proj"], allow_costly=True)


def measured(
    settings: Settings, compiled: bool, measures: Collection[str], warm: bool = False, features: Features | None = None
) -> Run:
    """The probe's pass for some measures: of the bare model, or with an adapter, as at the point `warm`."""
    features = features or Features(size=settings.side)
    model = _warm(settings) if warm else load_model(settings.model, "bf16")
    ready = Pass(model, measures, PADDING, features=features, compiled=compiled)
    opened = ExitStack()
    made_ready = False

    def run(examples: Sequence[Example]) -> None:
        nonlocal made_ready
        if not made_ready:
            # Left open: what makes a model ready, and compiles it, is done once for all that it measures.
            opened.enter_context(ready.ready(examples[0]))
            made_ready = True
        lengths = [len(example.input_ids) for example in examples]
        for batch in token_budget_batches(lengths, settings.token_budget, tight=True):
            ready.measure([examples[index] for index in batch])

    return run


def encoder(settings: Settings, compiled: bool) -> Run:
    """Sentence-encoder embeddings of the records' texts."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(settings.encoder, local_files_only=True)
    model = AutoModel.from_pretrained(settings.encoder, dtype=torch.bfloat16, local_files_only=True).eval()

    def run(examples: Sequence[Example]) -> None:
        texts = {example.id: example.text for example in examples if isinstance(example, Item)}
        sentence_embeddings(model, tokenizer, texts, Budget(settings.token_budget))

    return run


VARIANTS: dict[str, Variant] = {
    "signals": Variant("`grads` signals", partial(measured, measures=["gradients"])),
    "kronecker": Variant("features of all weights", partial(measured, measures=["sgd_features"])),
    "all": Variant("all one-forward signals and features", partial(measured, measures=ALL)),
    "unconditional": Variant(
        "`grads` signals and a second forward", partial(measured, measures=["gradients", "unconditional"])
    ),
    "hidden": Variant("mean hidden states alone", partial(measured, measures=["hidden"])),
    "signals-warm": Variant("`grads` signals at `warm`", partial(measured, measures=["gradients"], warm=True)),
    "kronecker-warm": Variant("features of the adapter", partial(measured, measures=["sgd_features"], warm=True)),
    "all-warm": Variant(
        "all one-forward signals and features at `warm`", partial(measured, measures=[*ALL, "adapter"], warm=True)
    ),
    "dense-warm": Variant(
        "dense features of the adapter's q_proj, 64 numbers",
        partial(measured, measures=["sgd_features"], warm=True, features=DENSE),
        compilable=False,
    ),
    "encoder": Variant("sentence encoder", encoder, compilable=False),
}


def _warm(settings: Settings) -> nn.Module:
    model = fresh_adapter(load_model(settings.model, "bf16"), Adapter(), seed=0)
    for name, part in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(part, std=1e-3)
    return model
