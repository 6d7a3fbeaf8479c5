"""Batches are counted as they are made: an explicit batch, a draw of every order and the batches themselves agree."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.batches import token_budget_batches
from grads.data.passes import Lengths, Passes, written

SOME = st.lists(st.integers(1, 300), min_size=1, max_size=40)


@given(SOME, st.integers(1, 700), st.booleans())
def test_batches_under_a_budget_are_those_that_are_made(lengths, budget, tight):
    batches = token_budget_batches(lengths, budget, tight)
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert Lengths.of(lengths).under_budget(budget, tight) == Passes(len(lengths), sum(lengths), padded, len(batches))


@given(SOME)
def test_counts_come_back_from_json(lengths):
    counted = Lengths.of(lengths)
    assert Lengths.parsed(counted.as_json()) == counted
    assert counted.listed() == sorted(lengths, reverse=True)
    assert (counted.sequences, counted.tokens, counted.longest) == (len(lengths), sum(lengths), max(lengths))


@pytest.mark.parametrize("wrong", [None, [1], {"a": 1}, {"1": "x"}, {"-1": 2}])
def test_what_is_no_count_is_not_taken_for_one(wrong):
    assert Lengths.parsed(wrong) is None


def test_batches_of_so_many_rows():
    assert Lengths.of([5, 9, 2, 4, 9]).in_rows(2) == Passes(5, 29, 18 + 10 + 2, 3)
    assert Lengths.of([]).in_rows(2) == Passes()


def test_random_micro_batches_have_the_mean_padding_of_all_orders():
    lengths = [1, 2, 2, 7]
    totals = [2 * max(order[:2]) + 2 * max(order[2:]) for order in permutations(lengths)]
    assert Lengths.of(lengths).drawn(4, 2).padded == sum(totals) / len(totals) == 18
    assert Lengths.of(lengths).longest_of(1) == pytest.approx(3)
    assert Lengths.of(lengths).longest_of(4) == Lengths.of(lengths).longest_of(9) == 7


def test_whole_rounds_have_all_tokens_and_batches_are_rounded_up():
    found = Lengths.of([3, 5, 10]).drawn(6, 4)
    assert (found.sequences, found.tokens, found.batches) == (6, 36, 2)
    assert 36 <= found.padded <= 60
    assert Lengths.of([3, 3]).drawn(5, 4) == Passes(5, 15, 15, 2)
    assert Lengths.of([]).drawn(5, 4) == Passes()


@given(SOME, st.integers(1, 80))
def test_more_or_fewer_of_the_same_lengths(lengths, count):
    found = Lengths.of(lengths).scaled(count)
    assert found.sequences == count
    assert set(found.listed()) <= set(lengths)
    assert Lengths.of(lengths).scaled(3 * len(lengths)).tokens == 3 * sum(lengths)


def test_lengths_that_nobody_counted_are_spread_evenly():
    assert Lengths.even(4, 8).listed() == [8, 6, 4, 2]
    assert Lengths.even(1000, 512).mean == pytest.approx(256, rel=0.01)
    assert Lengths.of([1, 5]).longer(2).listed() == [7, 3]
    assert Lengths.of([1, 5, 9]).at_most(4).listed() == [4, 4, 1]


def test_passes_add_up():
    assert Passes(1, 2, 3, 4) + Passes(1, 2, 3, 4) == Passes(1, 2, 3, 4).times(2) == Passes(2, 4, 6, 8)


def test_joined_sequences_have_no_padding():
    lengths = Lengths.of([3, 5, 9])
    drawn = lengths.drawn(6, 4)
    assert lengths.joined(6, 4) == Passes(6, 34, 34, 2)
    assert drawn.padded > 34


ASKED = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=25)


@given(ASKED, st.integers(1, 6), st.integers(1, 70))
def test_answers_are_written_pass_after_pass(asked, rows, budget):
    prompts = Lengths.of(prompt for prompt, _ in asked)
    length = asked[0][1]
    found = written(prompts, Lengths.of([length] * len(asked)), rows, budget)
    waiting = prompts.listed()
    left = []
    alone = steps = 0
    while waiting or left:
        fresh = []
        while waiting and len(left) + len(fresh) < rows and (not fresh or sum(fresh) + waiting[0] <= budget):
            fresh.append(waiting.pop(0))
        alone += not left
        steps += bool(left)
        left = [more - 1 for more in left + [length] * len(fresh) if more > 1]
    assert found.prompting == Passes(len(asked), prompts.tokens, prompts.tokens, alone)
    assert found.answering == Passes(len(asked), length * len(asked), (length - 1) * len(asked), steps)


@given(ASKED, st.integers(1, 6))
def test_answers_of_any_lengths_take_their_tokens_and_no_fewer_passes_than_they_need(asked, rows):
    answers = Lengths.of(answer for _, answer in asked)
    found = written(Lengths.of(prompt for prompt, _ in asked), answers, rows, 10**6)
    assert found.answering.padded == answers.tokens - answers.sequences
    passes = found.prompting.batches + found.answering.batches
    assert max(answers.longest, answers.tokens / rows) <= passes <= answers.tokens
    # With room for all, the longest says how many.
    assert written(Lengths.of([5] * len(asked)), answers, len(asked), 10**6).answering.batches == answers.longest - 1


def test_nothing_is_written_without_prompts():
    found = written(Lengths.of([]), Lengths.of([]), 4, 100)
    assert found.prompting == found.answering == Passes()


@given(SOME, st.integers(1, 700))
def test_packed_batches_have_no_padding(lengths, budget):
    found = Lengths.of(lengths).packed(budget)
    assert found.padded == found.tokens == sum(lengths)
    assert found.batches == Lengths.of(lengths).under_budget(budget).batches
