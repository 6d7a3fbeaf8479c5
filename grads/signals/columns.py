"""The columns that measures become, and the passes that they take."""

from collections.abc import Collection

from grads.signals.measures.registry import token_signals
from grads.signals.names import ALONE, GRADIENTS, PROMPTS, STATISTICS


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
    found += [column for measure in PROMPTS if measure in measures for column in PROMPTS[measure]]
    found += [signal.column for signal in token_signals(measures)]
    found += [column for measure in ALONE if measure in measures for column in ALONE[measure]]
    return tuple(found)


def needs_gradients(measures: Collection[str]) -> bool:
    """Return whether a backward pass is needed."""
    return bool((GRADIENTS - {"mean_abs"}) & set(measures))


def needs_losses(measures: Collection[str]) -> bool:
    """Return whether the LM head is needed."""
    asked = {*PROMPTS, *ALONE, "losses", "token_losses"} & set(measures)
    return needs_gradients(measures) or bool(asked or token_signals(measures))
