"""IFD by hand, in both forms, and what is discarded."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.selection.contract import Inputs
from grads.selection.methods.ifd import METHOD, Ifd

GIVEN = [1.0, 3.0, 2.0, 4.0, 0.5]
ALONE = [2.0, 3.0, 2.5, 2.0, 5.0]


def choice_of(count: int, given: list[float] = GIVEN, alone: list[float] = ALONE, **parameters: str) -> Any:
    pool = pd.DataFrame({"id": [f"{position}" for position in range(len(given))]})
    base = pool.assign(response_nll=given, unconditional_nll=alone)
    return METHOD.select(Inputs({"tokens": pool, "base": base}, {}, {}, count, 0), Ifd(**parameters))


def test_ratios_of_losses_by_hand() -> None:
    # 0.5, 1 (discarded), 0.8, 2 (discarded), 0.1.
    choice = choice_of(2)
    assert choice.order.tolist() == [2, 0]
    assert choice.score[[0, 2, 4]].tolist() == [0.5, 0.8, 0.1]
    assert choice.score[[1, 3]].max() < 0.1
    assert choice.notes == {"discarded": 2}


def test_discarded_records_are_not_kept_even_where_more_are_asked_for() -> None:
    assert choice_of(5).order.tolist() == [2, 0, 4]
    assert choice_of(2, [3.0, 2.0], [1.0, 2.0]).order.tolist() == []


def test_ratios_of_perplexities_by_hand() -> None:
    # exp of -1, 0 (discarded), -0.5, 2 (discarded), -4.5.
    choice = choice_of(3, form="perplexities")
    assert choice.order.tolist() == [2, 0, 4]
    assert choice.score[[0, 2, 4]] == pytest.approx([np.exp(-1), np.exp(-0.5), np.exp(-4.5)])


def test_the_two_forms_discard_the_same_and_order_otherwise() -> None:
    random = np.random.default_rng(0)
    given, alone = random.uniform(0.1, 4, 200).tolist(), random.uniform(0.1, 4, 200).tolist()
    losses = choice_of(200, given, alone)
    perplexities = choice_of(200, given, alone, form="perplexities")
    assert set(losses.order) == set(perplexities.order) == {i for i in range(200) if given[i] < alone[i]}
    assert losses.order.tolist() != perplexities.order.tolist()


def test_an_answer_without_loss_of_its_own_is_discarded_and_no_number_scores_none() -> None:
    assert choice_of(3, [0.0, 1.0, 1.0], [0.0, 2.0, 4.0]).order.tolist() == [1, 2]
    for given, alone in (([np.nan, 1.0], [1.0, 2.0]), ([0.0, 1.0], [np.nan, 2.0])):
        for form in ("losses", "perplexities"):
            assert np.isnan(choice_of(1, given, alone, form=form).score).any()
    assert np.isfinite(choice_of(1, [2000.0, 1.0], [1.0, 2.0], form="perplexities").score).all()


def test_needs() -> None:
    assert METHOD.needs(Ifd()).stores == {"base": {"losses", "unconditional"}}
    assert METHOD.needs(Ifd(point="warm")).stores == {"warm": {"losses", "unconditional"}}
