"""How exact the probe is: the numbers of docs/probe.md, which tests hold it to and `grads doctor` any model."""

from grads.config.section import Precision

# In float32: against autograd with a batch of one record, and alone against in any batch.
EXACT = 1e-4
SAME = 5e-5
# In bf16, by column and vector: against float32 of the same weights, and alone against in any batch. Wide weights and
# short records make the random models that they were found on the worst case.
ROUGH = {
    "response_nll": 0.01, "prompt_nll": 0.01, "sequence_nll": 0.01, "unconditional_nll": 0.01, "el2n": 0.005,
    "embedding_l2": 0.06, "embedding_std": 0.06, "embedding_mean_abs": 0.06, "embedding_mean": 0.01,
    "embedding_max": 0.15, "embedding_min": 0.15,
    "head_l2": 0.01, "head_std": 0.01, "head_mean_abs": 0.01, "head_mean": 0.01, "head_max": 0.05, "head_min": 0.05,
    "adapter_l2": 0.06, "adapter_std": 0.06, "adapter_mean_abs": 0.06, "adapter_mean": 0.01,
    "adapter_max": 0.3, "adapter_min": 0.3, "weights_l2": 0.02,
    "hidden": 0.03, "weighted_hidden": 0.03, "layer_hidden": 0.03, "embeddings": 0.005,
    "sgd_features": 0.15, "adam_features": 0.15,
}  # fmt: skip


def batch_tolerance(name: str, precision: Precision) -> float:
    """Return how far a column or vector may be from what it is alone, in any batch."""
    return SAME if precision == "float32" else ROUGH[name]
