"""General records mixed in."""

import pytest

from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Inputs
from grads.training.strategies.registry import find_strategy, parse_parameters
from grads.training.strategies.replay import STRATEGY, Replay


def prepare(examples, replay, seed=1, ratio="2:1"):
    return STRATEGY.prepare(examples, Inputs(replay=replay, seed=seed), Replay(ratio=ratio))


@pytest.mark.parametrize(("ratio", "count"), [("2:1", 5), ("1:1", 10), ("1:2", 20), ("4:3", 8), ("100:1", 1)])
def test_the_ratio_is_of_domain_to_general_records(ratio, count, examples):
    found = prepare(examples(10), examples(30, "g"), ratio=ratio)
    assert sum(id_.startswith("g") for id_ in found.examples) == count
    assert sum(id_.startswith("r") for id_ in found.examples) == 10
    assert found.notes == {"domain_records": 10, "general_records": count}
    assert not found.weights


def test_arms_of_equal_size_replay_the_same_and_larger_ones_these_and_more(examples):
    def drawn(domain, seed=1):
        return {id_ for id_ in prepare(domain, examples(30, "g"), seed).examples if id_.startswith("g")}

    assert drawn(examples(10)) == drawn(examples(10, "x"))
    assert drawn(examples(10)) < drawn(examples(20))
    assert drawn(examples(10)) != drawn(examples(10), seed=2)


def test_too_few_are_refused_with_the_numbers(examples):
    with pytest.raises(GradsError, match=r"adds 5 general records to 10 of the domain, and 4 are eligible: raise"):
        prepare(examples(10), examples(4, "g"))


@pytest.mark.parametrize("ratio", ["2", "2:0", "a:1", "1:2:3", "-1:2", "inf:1", "nan:1", ":"])
def test_a_ratio_is_two_numbers_above_0(ratio):
    with pytest.raises(GradsError, match=r"parameter 'ratio' of strategy 'replay' is .*two numbers above 0"):
        parse_parameters(find_strategy("replay"), {"ratio": ratio})


def test_the_need_is_the_share():
    assert STRATEGY.needs(Replay()).replay == 0.5
