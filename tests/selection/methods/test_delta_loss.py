"""The difference of losses before and after the preliminary epoch, by hand."""

from typing import Any

import pandas as pd
import pytest

from grads.selection.contract import Choice, Inputs
from grads.selection.methods.delta_loss import METHOD, DeltaLoss

BEFORE, AFTER = [2.0, 1.0, 4.0, 0.5], [1.0, 1.5, 2.5, 0.1]


def choice_of(before: list[float] = BEFORE, after: list[float] = AFTER, **parameters: Any) -> Choice:
    pool = pd.DataFrame({"id": [f"{position}" for position in range(len(before))]})
    signals = {"tokens": pool, "base": pool.assign(response_nll=before), "warm": pool.assign(response_nll=after)}
    return METHOD.select(Inputs(signals, {}, {}, 2, 0), DeltaLoss(**parameters))


def test_four_records_by_hand() -> None:
    choice = choice_of()
    assert choice.score.tolist() == pytest.approx([1.0, -0.5, 1.5, 0.4])
    assert choice.notes == {"mean_change": 0.6, "risen": 1}
    assert choice_of(order="lowest").score.tolist() == pytest.approx([-1.0, 0.5, -1.5, -0.4])
    assert choice_of(relative=True).score.tolist() == pytest.approx([0.5, -0.5, 0.375, 0.8])


def test_an_answer_without_loss_has_none_to_lose() -> None:
    assert choice_of([0.0, 1.0], [0.5, 0.5], relative=True).score.tolist() == [0.0, 0.5]


def test_needs() -> None:
    assert METHOD.needs(DeltaLoss()).stores == {"base": {"losses"}, "warm": {"losses"}}
