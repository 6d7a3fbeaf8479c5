"""How exact the probe is: the numbers of docs/probe.md, which tests hold it to and `grads doctor` any model."""

from grads.config.section import Precision
from grads.signals.measures.registry import REGISTRY, column_of

# In float32: against autograd with a batch of one record, and alone against in any batch.
EXACT = 1e-4
SAME = 5e-5
# In bf16, by column and vector that the pass makes itself: against float32 of the same weights, and alone against in
# any batch. Wide weights and short records make the random models that they were found on the worst case.
_MADE_BY_THE_PASS = {
    "response_nll": 0.01, "prompt_nll": 0.01, "sequence_nll": 0.01, "unconditional_nll": 0.01,
    "embedding_l2": 0.06, "embedding_std": 0.06, "embedding_mean_abs": 0.06, "embedding_mean": 0.01,
    "embedding_max": 0.15, "embedding_min": 0.15,
    "head_l2": 0.01, "head_std": 0.01, "head_mean_abs": 0.01, "head_mean": 0.01, "head_max": 0.05, "head_min": 0.05,
    "adapter_l2": 0.06, "adapter_std": 0.06, "adapter_mean_abs": 0.06, "adapter_mean": 0.01,
    "adapter_max": 0.3, "adapter_min": 0.3, "weights_l2": 0.02,
    "sgd_features": 0.15, "adam_features": 0.15,
}  # fmt: skip


def rough() -> dict[str, float]:
    """Return the tolerances in bf16 by column and vector, with those that signals declare."""
    declared = {column_of(signal): signal.tolerance for signal in REGISTRY.all().values()}
    return _MADE_BY_THE_PASS | {name: limit for name, limit in declared.items() if limit is not None}


def batch_tolerance(name: str, precision: Precision) -> float:
    """Return how far a column or vector may be from what it is alone, in any batch."""
    return SAME if precision == "float32" else rough()[name]
