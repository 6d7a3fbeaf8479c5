"""Batches under a token budget."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from grads.data.batches import ENOUGH, MOST_PADDING, token_budget_batches

LENGTHS = st.lists(st.integers(1, 60), max_size=40)


@given(LENGTHS, st.integers(1, 2000), st.booleans())
def test_each_once_and_within_the_budget(lengths: list[int], budget: int, tight: bool) -> None:
    batches = token_budget_batches(lengths, budget, tight)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    in_order = [(-lengths[index], index) for batch in batches for index in batch]
    assert in_order == sorted(in_order)


@given(LENGTHS, st.integers(1, 200))
def test_no_batch_is_closed_early(lengths: list[int], budget: int) -> None:
    batches = token_budget_batches(lengths, budget)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


@given(st.lists(st.integers(1, 200), max_size=60), st.integers(600, 3000))
def test_a_tight_batch_is_closed_where_its_padding_would_be_too_much(lengths: list[int], budget: int) -> None:
    batches = token_budget_batches(lengths, budget, tight=True)
    for batch, following in pairwise(batches):
        longest = lengths[batch[0]]
        size = (len(batch) + 1) * longest
        padding = size - sum(lengths[index] for index in [*batch, following[0]])
        assert size > budget or (len(batch) * longest >= ENOUGH and padding > MOST_PADDING * size)
    for batch in batches:
        size = len(batch) * lengths[batch[0]]
        padding = size - sum(lengths[index] for index in batch)
        assert padding <= MOST_PADDING * size or size - lengths[batch[0]] < ENOUGH


def test_an_example() -> None:
    assert token_budget_batches([3, 9, 3, 2, 4], 9) == [[1], [4, 0], [2, 3]]
    assert token_budget_batches([], 9) == []
    assert token_budget_batches([300, 290, 200], 2000, tight=True) == [[0, 1], [2]]
