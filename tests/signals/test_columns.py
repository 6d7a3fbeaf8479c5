"""The names that methods ask by."""

import pytest

from grads.signals.columns import STATISTICS, columns, needs_gradients, needs_losses
from grads.signals.names import GRADIENTS, LOSSES, MEASURES, VECTORS


def test_statistics_come_with_what_they_are_of() -> None:
    assert columns({"gradients"}) == (
        "embedding_l2", "embedding_max", "embedding_min", "embedding_mean", "embedding_std",
        "head_l2", "head_max", "head_min", "head_mean", "head_std", "response_nll",
    )  # fmt: skip
    assert columns({"adapter", "mean_abs"}) == (*(f"adapter_{s}" for s in (*STATISTICS, "mean_abs")), "response_nll")
    assert columns({"weights"}) == ("weights_l2", "response_nll")


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_what_a_measure_needs(measure: str) -> None:
    means = {"hidden", "weighted_hidden", "layer_hidden", "embeddings"}
    assert needs_gradients({measure}) == (measure in GRADIENTS - {"mean_abs"})
    assert needs_losses({measure}) == (measure not in means | {"mean_abs"})
    assert ("response_nll" in columns({measure})) == needs_losses({measure})


def test_order_of_the_columns_does_not_depend_on_the_order_of_the_measures() -> None:
    assert columns(sorted(MEASURES)) == columns(sorted(MEASURES, reverse=True))
    assert columns({*LOSSES})[-1] == "unconditional_nll"
    assert set(VECTORS) <= MEASURES
