"""What a signal store may hold: the names that methods ask by.

The constants are of what comes with this package. `known_measures` has what other packages declare, too.
"""

from grads.signals.measures.contract import MeanSignal, TokenSignal
from grads.signals.measures.registry import REGISTRY, check_signals

# The columns that every store begins with, and their types.
FIRST = {"id": "str", "prompt_tokens": "int64", "response_tokens": "int64", "truncated": "bool"}
# What is taken of a gradient.
STATISTICS = ("l2", "max", "min", "mean", "std")
# What needs a backward pass; `mean_abs` says only which statistics are taken.
GRADIENTS = frozenset({"gradients", "mean_abs", "adapter", "weights", "sgd_features", "adam_features"})
# Projected gradients of the adapter, or the steps that Adam would take for them.
SGD_FEATURES = "sgd_features"
ADAM_FEATURES = "adam_features"
FEATURES = frozenset({SGD_FEATURES, ADAM_FEATURES})
# The vectors of a sentence encoder, all that its store holds.
SENTENCES = "sentences"
# The vectors of a training run's trajectory, all that its store holds: response_nll at its checkpoints.
TRAJECTORY_LOSSES = "losses"
# Columns of losses elsewhere than on the response, or after another prompt, and what asks for them.
PROMPTS = {"prompt": ("prompt_nll", "sequence_nll")}
ALONE = {"unconditional": ("unconditional_nll",)}

# One that is broken is refused where a study is checked; this module is imported for `--help`, too.
_DECLARED = REGISTRY.sound().values()
# Means over all tokens of a record: of the last layer's states, the same weighted by position, of a lower layer's
# states and of what the input embedding looks up.
MEANS = tuple(one.name for one in _DECLARED if isinstance(one, MeanSignal))
# Vectors, one a record.
VECTORS = (*MEANS, *sorted(FEATURES, reverse=True))
# Columns of losses and of the response's tokens next to `response_nll`, and what asks for them.
LOSSES = {**PROMPTS, **{one.name: (one.column,) for one in _DECLARED if isinstance(one, TokenSignal)}, **ALONE}
# What a pass over a language model makes itself.
MADE_BY_THE_PASS = frozenset({*GRADIENTS, *PROMPTS, *ALONE, "losses", "token_losses"})
# All that it can measure.
MEASURES = MADE_BY_THE_PASS | {one.name for one in _DECLARED}


def known_measures() -> frozenset[str]:
    """Return all that a pass over a language model can measure, with the signals of other packages.

    Raises:
        GradsError: one of them cannot be loaded, or has the name or column of another.
    """
    layers = [f"{layer}_{name}" for layer in ("embedding", "head", "adapter") for name in (*STATISTICS, "mean_abs")]
    losses = [column for found in (PROMPTS, ALONE) for group in found.values() for column in group]
    norms = [f"{kind}_norm" for kind in VECTORS]
    check_signals({*MADE_BY_THE_PASS, SENTENCES, *FIRST, *layers, "weights_l2", "response_nll", *losses, *norms})
    return MADE_BY_THE_PASS | set(REGISTRY.all())
