"""Selective token masking on cases worked out by hand."""

import math

import pytest

from grads.data.records.formatting import Example
from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Inputs
from grads.training.strategies.stm import STRATEGY, Masking

# Perplexities 1.5, 2.5 to the rounding of float32 below, 2.6, 10.
BELOW, JUST, ABOVE, HIGH = math.log(1.5), math.log(2.4999), math.log(2.6), math.log(10)


def prepare(examples, store, threshold=2.5):
    return STRATEGY.prepare(examples, Inputs(stores={"base": store}), Masking(threshold=threshold))


def test_what_is_above_the_threshold_is_masked(examples, store):
    found = prepare(examples(2), store({"r1": [BELOW, JUST, ABOVE], "r0": [HIGH, BELOW, BELOW]}))
    assert found.weights == {"r0": [0.0, 1.0, 1.0], "r1": [1.0, 1.0, 0.0]}
    assert found.examples == examples(2)
    assert found.notes["masked_tokens"] == 2
    assert found.notes["response_tokens"] == 6


def test_the_threshold_is_a_parameter(examples, store):
    found = prepare(examples(1), store({"r0": [BELOW, ABOVE, HIGH]}), threshold=3.0)
    assert found.weights == {"r0": [1.0, 1.0, 0.0]}


def test_a_record_whose_tokens_are_all_masked_is_dropped_and_counted(examples, store):
    found = prepare(examples(2), store({"r0": [HIGH, HIGH, HIGH], "r1": [BELOW, HIGH, HIGH]}))
    assert list(found.examples) == ["r1"]
    assert found.notes["records_all_masked"] == 1


def test_a_record_that_the_probe_left_out_is_dropped_and_counted(examples, store):
    found = prepare(examples(2), store({"r1": [BELOW, BELOW, BELOW]}, left_out=["r0"]))
    assert list(found.examples) == ["r1"]
    assert (found.notes["records_unmeasured"], found.notes["records_all_masked"]) == (1, 0)


def test_earlier_answers_are_judged_too(store):
    conversation = Example("c", [1, 2, 3, 4, 5], 4, earlier=((1, 3),))
    assert prepare({"c": conversation}, store({"c": [BELOW, HIGH, BELOW]})).weights == {"c": [1.0, 0.0, 1.0]}


def test_a_first_token_that_nothing_precedes_is_masked(store):
    found = prepare({"c": Example("c", [1, 2, 3], 0)}, store({"c": [BELOW, HIGH]}))
    assert found.weights == {"c": [0.0, 1.0, 0.0]}


@pytest.mark.parametrize("losses", [{"r0": [BELOW]}, {"other": [BELOW]}])
def test_losses_of_other_records_are_refused(losses, examples, store):
    with pytest.raises(GradsError, match=r"record r0 has 3 response tokens and the signals 'base' hold (no|1) losses"):
        prepare(examples(1), store(losses))


def test_it_needs_token_losses_of_the_untuned_model():
    assert STRATEGY.needs(Masking()).stores == {"base": {"token_losses"}}
