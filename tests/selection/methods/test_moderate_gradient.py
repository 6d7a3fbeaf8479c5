"""Moderate-G_i by hand: the band of losses, the median of the norms, and what the number asked for counts against."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from grads.config.ratios import keep_count
from grads.selection.contract import Inputs
from grads.selection.methods.moderate_gradient import METHOD, ModerateGradient

# Mean 3, population standard deviation 1.549: the band is from 1.451 to 4.549.
LOSSES = [1.0, 2.0, 3.0, 3.0, 3.0, 6.0]
# Of the records in the band: 1, 4, 7, 20; their median is 5.5.
NORMS = [5.5, 1.0, 4.0, 7.0, 20.0, 5.5]


def inputs_of(losses: Sequence[float], norms: Sequence[float], count: int, point: str = "base") -> Inputs:
    ids = [f"{position:02d}" for position in range(len(losses))]
    signals = {"id": ids, "response_nll": losses, "adapter_l2": norms, "head_l2": norms, "embedding_l2": norms}
    return Inputs({"tokens": pd.DataFrame({"id": ids}), point: pd.DataFrame(signals)}, {}, {}, count, 0)


def chosen(losses: Sequence[float], norms: Sequence[float], count: int, **parameters: object) -> list[int]:
    order = METHOD.select(inputs_of(losses, norms, count), ModerateGradient(**parameters)).order
    assert order is not None
    return order.tolist()


def test_by_hand() -> None:
    # Distances to 5.5: record 1 4.5, record 2 1.5, record 3 1.5, record 4 14.5; ties by position.
    assert chosen(LOSSES, NORMS, 3) == [2, 3, 1]
    choice = METHOD.select(inputs_of(LOSSES, NORMS, 3), ModerateGradient())
    assert choice.score[1:5].tolist() == [-4.5, -1.5, -1.5, -14.5]
    assert choice.score[[0, 5]].max() < choice.score[1:5].min()
    assert choice.notes == {"in_band": 4}


def test_fewer_in_the_band_than_asked_for_are_not_filled_up() -> None:
    assert chosen(LOSSES, NORMS, 6) == [2, 3, 1, 4]


@pytest.mark.parametrize(
    ("ratio", "order"),
    # The band has 4: 0.1 of it is 0, but at least 1; 0.4 is 1.6, so 2, where 0.4 of 6, rounded, would be 2 / 6 of it.
    [("0.5", [2, 3]), ("0.1", [2]), ("0.4", [2, 3]), ("1", [2, 3, 1, 4])],
)
def test_the_number_may_be_a_share_of_the_band(ratio: str, order: list[int]) -> None:
    inputs = replace(inputs_of(LOSSES, NORMS, keep_count(ratio, 6)), ratio=ratio)
    found = METHOD.select(inputs, ModerateGradient(counted="band")).order
    assert found is not None
    assert found.tolist() == order


def test_a_wider_band_has_all_and_another_median() -> None:
    # Norms 1, 4, 5.5, 5.5, 7, 20: the median is 5.5.
    assert chosen(LOSSES, NORMS, 4, band=2.0) == [0, 5, 2, 3]


def test_equal_losses_all_lie_in_the_band() -> None:
    assert chosen([0.1] * 7, [float(value) for value in range(7)], 3) == [3, 2, 4]
    assert chosen([0.3], [1.0], 1) == [0]


def test_what_is_no_number_scores_none() -> None:
    for losses, norms in (([1.0, np.nan, 2.0], [1.0, 2.0, 3.0]), ([1.0, 1.0, 1.0], [1.0, np.nan, 3.0])):
        assert np.isnan(METHOD.select(inputs_of(losses, norms, 1), ModerateGradient()).score).any()


def test_layers_count_as_one_gradient_and_the_point_is_read() -> None:
    inputs = inputs_of([1.0] * 3, [3.0, 4.0, 6.0], 1, point="warm")
    inputs.signals["warm"]["head_l2"] = [4.0, 3.0, 8.0]
    parameters = ModerateGradient(point="warm", layers=["adapter", "head"])
    # Norms 5, 5 and 10, median 5.
    assert METHOD.select(inputs, parameters).score.tolist() == [0.0, 0.0, -5.0]
    assert METHOD.needs(parameters).stores == {"warm": {"gradients", "adapter", "losses"}}
    assert METHOD.needs(ModerateGradient(layers=["weights"])).stores == {"base": {"gradients", "weights", "losses"}}


def test_a_band_without_width_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        ModerateGradient(band=0.0)
