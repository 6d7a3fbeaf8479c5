"""What a signal store may hold: the names that methods ask by, and the columns and vectors that these become."""

from collections.abc import Collection

STATISTICS = ("l2", "max", "min", "mean", "std")
# What needs a backward pass; `mean_abs` says only which statistics are taken.
GRADIENTS = frozenset({"gradients", "mean_abs", "adapter", "weights", "sgd_features", "adam_features"})
# Vectors, one a record: means of the last layer's states, the same weighted by position, of a lower layer's states and
# of what the input embedding looks up, and projected gradients.
VECTORS = ("hidden", "weighted_hidden", "layer_hidden", "embeddings", "sgd_features", "adam_features")
# Columns of the response's tokens beside `response_nll`, and what asks for them.
LOSSES = {
    "prompt": ("prompt_nll", "sequence_nll"),
    "el2n": ("el2n",),
    "low_perplexity": ("low_ppl_fraction",),
    "unconditional": ("unconditional_nll",),
}
MEASURES = frozenset({*GRADIENTS, *VECTORS, *LOSSES, "losses", "token_losses"})


def columns(measures: Collection[str]) -> tuple[str, ...]:
    """Return the columns that stand for the measures, in their order.

    Statistics of the gradients of `embedding` and `head` come with `gradients`, those of all LoRA parameters with
    `adapter`, each with the mean absolute entry where `mean_abs` is asked for; `weights` is the l2 norm over all
    weights of the decoder's linear layers. `response_nll` is there wherever anything needs the LM head.
    """
    names = (*STATISTICS, *({"mean_abs"} & set(measures)))
    layers = [*(("embedding", "head") if "gradients" in measures else ()), *({"adapter"} & set(measures))]
    found = [f"{layer}_{name}" for layer in layers for name in names]
    found += ["weights_l2"] if "weights" in measures else []
    found += ["response_nll"] if needs_losses(measures) else []
    return (*found, *(column for measure in LOSSES if measure in measures for column in LOSSES[measure]))


def needs_gradients(measures: Collection[str]) -> bool:
    """Return whether a backward pass is needed."""
    return bool((GRADIENTS - {"mean_abs"}) & set(measures))


def needs_losses(measures: Collection[str]) -> bool:
    """Return whether the LM head is needed."""
    return needs_gradients(measures) or bool({*LOSSES, "losses", "token_losses"} & set(measures))
