"""Selection of tokens by their excess loss on cases worked out by hand."""

import pytest

from grads.data.records.formatting import Example
from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Inputs
from grads.training.strategies.rho1 import STRATEGY, Rho1


def prepare(examples, base, warm, keep=0.5):
    return STRATEGY.prepare(examples, Inputs(stores={"base": base, "warm": warm}), Rho1(keep=keep))


def test_the_tokens_that_the_reference_predicts_so_much_better_are_kept(examples, store):
    base = store({"r0": [5.0, 4.0, 3.0], "r1": [9.0, 1.0, 2.0]})
    warm = store({"r1": [8.5, 0.9, 0.5], "r0": [1.0, 3.8, 3.5]})
    found = prepare(examples(2), base, warm)
    # Excess: r0 4.0, 0.2, -0.5; r1 0.5, 0.1, 1.5. Of six tokens three are kept; a high loss alone is no reason.
    assert found.weights == {"r0": [1.0, 0.0, 0.0], "r1": [1.0, 0.0, 1.0]}
    assert found.examples == examples(2)
    assert (found.notes["response_tokens"], found.notes["kept_tokens"]) == (6, 3)


def test_a_record_without_a_kept_token_is_dropped_and_counted(examples, store):
    found = prepare(examples(2), store({"r0": [5.0] * 3, "r1": [1.0] * 3}), store({"r0": [1.0] * 3, "r1": [1.0] * 3}))
    assert found.weights == {"r0": [1.0, 1.0, 1.0]}
    assert list(found.examples) == ["r0"]
    assert found.notes["records_without_kept_tokens"] == 1


def test_all_tokens_kept_is_plain_training_and_one_is_always_kept(examples, store):
    measured = store({"r0": [5.0, 4.0, 3.0]}), store({"r0": [1.0, 3.0, 3.5]})
    assert prepare(examples(1), *measured, keep=1.0).weights == {"r0": [1.0, 1.0, 1.0]}
    assert prepare(examples(1), *measured, keep=0.01).weights == {"r0": [1.0, 0.0, 0.0]}


def test_equal_scores_go_by_their_order(examples, store):
    same = {"r0": [1.0, 1.0, 1.0], "r1": [1.0, 1.0, 1.0]}
    assert prepare(examples(2), store(same), store(same)).weights == {"r0": [1.0, 1.0, 1.0]}


def test_what_either_probe_left_out_is_dropped_and_counted(examples, store):
    base = store({"r1": [2.0] * 3, "r2": [2.0] * 3}, left_out=["r0"])
    warm = store({"r0": [1.0] * 3, "r2": [1.0] * 3}, left_out=["r1"])
    found = prepare(examples(3), base, warm, keep=1.0)
    assert list(found.examples) == ["r2"]
    assert found.notes["records_unmeasured"] == 2


def test_a_first_token_that_nothing_precedes_is_never_kept(store):
    example = {"c": Example("c", [1, 2, 3], 0)}
    found = prepare(example, store({"c": [2.0, 3.0]}), store({"c": [1.0, 1.0]}), keep=1.0)
    assert found.weights == {"c": [0.0, 1.0, 1.0]}


def test_losses_of_other_records_are_refused(examples, store):
    with pytest.raises(GradsError, match="record r0 has 3 response tokens and the signals 'warm' hold 1 losses"):
        prepare(examples(1), store({"r0": [1.0] * 3}), store({"r0": [1.0]}))


def test_it_needs_token_losses_before_and_after_the_preliminary_epoch():
    assert STRATEGY.needs(Rho1()).stores == {"base": {"token_losses"}, "warm": {"token_losses"}}
