"""The control of equal steps: all records, and the count of a subset that it does not choose."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from grads.config.ratios import keep_count
from grads.config.training import Training
from grads.selection.contract import Inputs
from grads.selection.documentation import methods_page
from grads.selection.methods.full_steps import METHOD, FullSteps
from grads.selection.registry import methods
from grads.training.visits import optimiser_steps, training_order

Select = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]


@pytest.mark.parametrize("ratio", ["0.05", "0.29", "0.5", "1"])
@pytest.mark.parametrize("count", [1, 7, 60])
def test_training_takes_the_steps_of_a_subset_of_the_ratio(
    select: Select, stores_of: Callable[..., Any], ratio: str, count: int
) -> None:
    table, meta = select("full_steps", ratio, stores_of(count))
    assert table["kept"].all()
    assert meta["requested"] == keep_count(ratio, count)
    training = Training(epochs=2, global_batch=4)
    subset = training_order(table["id"].tolist()[: meta["requested"]], training, seed=3)
    visits = training_order(table["id"].tolist(), training, seed=3, steps_of_records=meta["requested"])
    assert -(-len(visits) // 4) == -(-len(subset) // 4) == optimiser_steps(meta["requested"], 2, 4)


@pytest.mark.parametrize(("ratio", "epochs"), [("0.05", 3), ("0.25", 2), ("0.5", 2), ("0.5", 3)])
def test_it_sees_fresh_records_each_once_until_there_are_no_more(
    select: Select, stores_of: Callable[..., Any], ratio: str, epochs: int
) -> None:
    """Full data's order, not all of full data: a share of ratio x epochs of it, up to a whole step."""
    table, meta = select("full_steps", ratio, stores_of(80))
    training, ids = Training(epochs=epochs, global_batch=4), table["id"].tolist()
    visits = training_order(ids, training, seed=3, steps_of_records=meta["requested"])
    assert visits == training_order(ids, training, seed=3)[: len(visits)]
    assert len(visits) == math.ceil(keep_count(ratio, 80) * epochs / 4) * 4
    assert len(set(visits)) == min(80, len(visits))


def test_its_title_promises_neither_all_records_nor_equal_steps_of_anything() -> None:
    assert METHOD.title == "Full data, the subset's steps"
    row = next(line for line in methods_page().splitlines() if line.startswith("| [`full_steps`]"))
    assert METHOD.title in row
    assert "optimiser steps" in row


def test_it_draws_nothing(select: Select, stores_of: Callable[..., Any]) -> None:
    pool = pd.DataFrame({"id": list("abc")})
    choice = METHOD.select(Inputs({"tokens": pool}, {}, {}, 3, 0), FullSteps())
    assert (choice.order, choice.score.tolist()) == (None, [0, 0, 0])
    first, second = (select("full_steps", "0.5", stores_of(20), seed=seed)[0] for seed in (1, 2))
    assert first.equals(second)


def test_it_alone_keeps_all_records_at_every_ratio() -> None:
    assert [method.name for method in methods().values() if method.equal_steps] == ["full_steps"]
    assert METHOD.fixed_ratio is None
    assert METHOD.needs(FullSteps(reference="other")).references(auto=True) == ("other",)
    assert METHOD.needs(FullSteps()).references(auto=False) == ()
