"""Weights of records by their loss, by hand."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from grads.config.training import Training
from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Inputs
from grads.training.strategies.flow import STRATEGY, Flow


def prepare(examples, losses, left_out=(), **parameters):
    table = pd.DataFrame({"id": list(losses), "response_nll": list(losses.values())})
    store = SimpleNamespace(signals=table, left_out=list(left_out))
    return STRATEGY.prepare(examples, Inputs(stores={"base": store}), Flow(**parameters))


def test_weights_fall_with_the_loss_and_the_median_is_the_temperature(examples):
    losses = {"r0": 1.0, "r1": 2.0, "r2": 4.0}
    found = prepare(examples(3), losses)
    raw = [math.exp(-loss / 2.0) for loss in losses.values()]
    expected = [weight * 3 / sum(raw) for weight in raw]
    assert [row[0] for row in found.weights.values()] == pytest.approx(expected)
    assert all(len(set(row)) == 1 and len(row) == 3 for row in found.weights.values())
    assert sum(row[0] for row in found.weights.values()) == pytest.approx(3.0)
    assert found.notes["temperature"] == 2.0
    assert (found.notes["least_weight"], found.notes["largest_weight"]) == pytest.approx((expected[2], expected[0]))


def test_the_temperature_may_be_given(examples):
    found = prepare(examples(2), {"r0": 1.0, "r1": 1.0 + 3 * math.log(2)}, temperature=3.0)
    assert found.weights["r0"][0] / found.weights["r1"][0] == pytest.approx(2.0)


def test_equal_losses_are_plain_training(examples):
    assert prepare(examples(2), {"r0": 0.7, "r1": 0.7}).weights == {"r0": [1.0] * 3, "r1": [1.0] * 3}


def test_large_losses_leave_weights_that_are_numbers(examples):
    found = prepare(examples(2), {"r0": 5000.0, "r1": 5001.0}, temperature=1.0)
    assert found.weights["r0"][0] / found.weights["r1"][0] == pytest.approx(math.e)


def test_only_kept_records_count_for_the_median(examples):
    losses = {"r0": 1.0, "r1": 3.0, "other": 100.0, "another": 200.0, "third": 300.0}
    assert prepare(examples(2), losses).notes["temperature"] == 2.0


def test_a_record_that_the_probe_left_out_is_dropped_and_counted(examples):
    found = prepare(examples(2), {"r1": 1.0}, left_out=["r0"])
    assert list(found.examples) == ["r1"]
    assert found.notes["records_unmeasured"] == 1


def test_what_was_not_measured_and_no_temperature_are_refused(examples):
    with pytest.raises(GradsError, match="signals 'base' have no loss of record r1"):
        prepare(examples(2), {"r0": 1.0})
    with pytest.raises(GradsError, match="the median loss is 0"):
        prepare(examples(2), {"r0": 0.0, "r1": 0.0})


def test_steps_of_one_record_are_refused():
    with pytest.raises(GradsError, match=r"strategy 'flow' weighs records .* training\.global_batch is 1"):
        STRATEGY.settings(Training(global_batch=1), Flow())


def test_it_needs_losses_of_the_untuned_model():
    assert STRATEGY.needs(Flow()).stores == {"base": {"losses"}}
