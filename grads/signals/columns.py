"""The columns that measures become, and the passes that they take."""

from collections.abc import Collection

from grads.signals.names import GRADIENTS, LOSSES

STATISTICS = ("l2", "max", "min", "mean", "std")


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
