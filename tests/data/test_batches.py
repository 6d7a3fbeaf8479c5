"""Batches under a token budget."""

from hypothesis import given
from hypothesis import strategies as st

from grads.data.batches import token_budget_batches


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 200))
def test_each_once_and_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = token_budget_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    in_order = [(-lengths[index], index) for batch in batches for index in batch]
    assert in_order == sorted(in_order)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=40), st.integers(1, 200))
def test_no_batch_is_closed_early(lengths: list[int], budget: int) -> None:
    batches = token_budget_batches(lengths, budget)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


def test_an_example() -> None:
    assert token_budget_batches([3, 9, 3, 2, 4], 9) == [[1], [4, 0], [2, 3]]
    assert token_budget_batches([], 9) == []
