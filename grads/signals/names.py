"""What a signal store may hold: the names that methods ask by."""

# What needs a backward pass; `mean_abs` says only which statistics are taken.
GRADIENTS = frozenset({"gradients", "mean_abs", "adapter", "weights", "sgd_features", "adam_features"})
# Projected gradients of the adapter, or the steps that Adam would take for them.
SGD_FEATURES = "sgd_features"
ADAM_FEATURES = "adam_features"
FEATURES = frozenset({SGD_FEATURES, ADAM_FEATURES})
# Means over all tokens of a record: of the last layer's states, the same weighted by position, of a lower layer's
# states and of what the input embedding looks up.
MEANS = ("hidden", "weighted_hidden", "layer_hidden", "embeddings")
# Vectors, one a record.
VECTORS = (*MEANS, *sorted(FEATURES, reverse=True))
# The vectors of a sentence encoder, all that its store holds.
SENTENCES = "sentences"
# The vectors of a training run's trajectory, all that its store holds: response_nll at its checkpoints.
TRAJECTORY_LOSSES = "losses"
# Columns of the response's tokens beside `response_nll`, and what asks for them.
LOSSES = {
    "prompt": ("prompt_nll", "sequence_nll"),
    "el2n": ("el2n",),
    "low_perplexity": ("low_ppl_fraction",),
    "unconditional": ("unconditional_nll",),
}
# All that a pass over a language model can measure.
MEASURES = frozenset({*GRADIENTS, *VECTORS, *LOSSES, "losses", "token_losses"})
