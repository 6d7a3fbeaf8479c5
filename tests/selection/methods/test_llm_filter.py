"""The filter by hand: verdicts, their stand-ins, and the draw of what is left."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.llm_filter import METHOD, LlmFilter

Make = Callable[..., Inputs]


def by_verdict(inputs_of: Make, said: list[Any], count: int, seed: int = 0, **parameters: Any) -> Choice:
    table = pd.DataFrame({"id": [f"r{row:03}" for row in range(len(said))], "wrong": said})
    inputs = inputs_of({"base": {"hidden": np.eye(len(said))}}, count, seed, {"train": table})
    return METHOD.select(inputs, LlmFilter(field="wrong", **parameters))


def test_what_a_model_finds_wrong_is_never_kept(inputs_of: Make) -> None:
    choice = by_verdict(inputs_of, ["yes", "No", 0.9, "0.1", "true", 0.5], 6)
    assert choice.order is not None
    assert sorted(choice.order.tolist()) == [1, 3, 5]
    assert choice.notes == {"stand_in": False, "by_verdict": 3}
    assert choice.score[[1, 3, 5]].min() > choice.score[[0, 2, 4]].max()
    strict = by_verdict(inputs_of, ["yes", "No", 0.9, "0.1", "true", 0.5], 6, limit=0.0)
    assert strict.order is not None
    assert strict.order.tolist() == [1]


def test_what_is_left_is_drawn(inputs_of: Make) -> None:
    draws = [by_verdict(inputs_of, ["no"] * 40, 10, seed).order for seed in (0, 0, 1)]
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()  # type: ignore[union-attr]


def test_losses_stand_in(inputs_of: Make) -> None:
    # Of 12 records the last has a loss of 9 among 1: mean 5/3, deviation 2.21; the first two are likelier alone.
    base = inputs_of({"base": {"hidden": np.eye(12)}}, 12).signals["base"]
    base = base.assign(response_nll=[1.0] * 11 + [9.0], unconditional_nll=[1.0, 0.5] + [2.0] * 9 + [12.0])
    inputs = Inputs({"tokens": base[["id"]], "base": base}, {}, {}, 12, 0)
    choice = METHOD.select(inputs, LlmFilter())
    assert choice.order is not None
    assert sorted(choice.order.tolist()) == list(range(2, 11))
    assert choice.notes == {"stand_in": True, "by_mismatch": 2, "by_loss": 1}
    wider = METHOD.select(inputs, LlmFilter(deviations=4.0))
    assert wider.notes["by_loss"] == 0


def test_a_verdict_that_says_neither_is_refused(inputs_of: Make) -> None:
    for said in ("perhaps", 1.5, None):
        with pytest.raises(GradsError, match=r"record r001 has .* in 'wrong': write yes, no"):
            by_verdict(inputs_of, ["no", said], 1)
