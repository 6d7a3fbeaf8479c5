"""The two matrices' statistics against the full gradient, written out."""

import pytest
import torch

from grads.probe import statistics
from grads.probe.statistics import embedding_statistics, head_extremes, head_statistics


def softmax_errors(tokens: int, vocabulary: int, sharpness: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    errors = torch.softmax(torch.randn(tokens, vocabulary, generator=generator) * sharpness, dim=1)
    errors[torch.arange(tokens), torch.randint(vocabulary, (tokens,), generator=generator)] -= 1.0
    return errors / tokens


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("tokens", [1, 2, 17])
@pytest.mark.parametrize("vocabulary", [3, 300, 5000])
def test_head_extremes_are_those_of_the_whole_matrix(tokens: int, vocabulary: int, sharpness: float) -> None:
    errors = softmax_errors(tokens, vocabulary, sharpness, seed=tokens + vocabulary)
    for shift in (0.0, 5.0):
        # Hidden states of one sign put the largest entry and the smallest far apart in size.
        hidden = torch.randn(tokens, 6, generator=torch.Generator().manual_seed(1)) + shift
        whole = errors.T @ hidden
        assert head_extremes(errors, hidden) == pytest.approx((whole.max().item(), whole.min().item()), rel=1e-5)


def test_head_extremes_go_on_while_a_bound_may_beat_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "FIRST_ROWS", 1)
    # Row 0 has the largest bound and cancels to 0; row 1 has the largest entry, row 2 the smallest.
    errors, hidden = torch.tensor([[5.0, 4.0, -2.0, 0.1], [-5.0, 4.0, -2.0, 0.1]]), torch.tensor([[1.0], [1.0]])
    assert head_extremes(errors, hidden) == (8.0, -4.0)
    for seed in range(20):
        errors, hidden = (
            softmax_errors(3, 40, 2.0, seed),
            torch.randn(3, 2, generator=torch.Generator().manual_seed(seed)),
        )
        whole = errors.T @ hidden
        assert head_extremes(errors, hidden) == pytest.approx((whole.max().item(), whole.min().item()), rel=1e-5)


def test_head_extremes_visit_few_rows_of_a_large_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, hidden = softmax_errors(18, 50_000, 3.0, seed=0), torch.randn(18, 32)
    monkeypatch.setattr(statistics, "MORE_ROWS", 10**9)
    largest = []
    matmul = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: largest.append(a.shape[0]) or matmul(a, b))
    head_extremes(errors, hidden)
    assert max(size for size in largest if size != 18) <= statistics.FIRST_ROWS


def test_head_statistics_of_one_token_by_hand() -> None:
    # softmax (0.5, 0.25, 0.25), target 0: G = (-0.5, 0.25, 0.25)^T (2, -4).
    found = head_statistics(torch.tensor([[-0.5, 0.25, 0.25]]), torch.tensor([[2.0, -4.0]]), rows_sum_to_zero=True)
    assert found["l2"] == pytest.approx((0.375 * 20) ** 0.5)
    assert (found["max"], found["min"], found["mean"]) == (2.0, -1.0, 0.0)
    assert found["std"] == pytest.approx((0.375 * 20 / 6) ** 0.5)


def test_embedding_statistics_sum_equal_tokens_and_count_untouched_rows() -> None:
    gradients = torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]])
    found = embedding_statistics(torch.tensor([7, 2, 7]), gradients, vocabulary=10, padding_index=None)
    # Rows: 7 -> (11, 22), 2 -> (3, 4), eight rows of zeros.
    assert found["l2"] == pytest.approx((121 + 484 + 9 + 16) ** 0.5)
    assert (found["max"], found["min"], found["mean"]) == (22.0, 0.0, 2.0)
    assert found["std"] == pytest.approx((630 / 20 - 4) ** 0.5)


def test_embedding_statistics_of_a_fully_touched_matrix_have_no_zeros() -> None:
    gradients = torch.tensor([[1.0], [3.0]])
    found = embedding_statistics(torch.tensor([0, 1]), gradients, vocabulary=2, padding_index=None)
    assert (found["max"], found["min"], found["std"]) == (3.0, 1.0, 1.0)


def test_padding_row_has_no_gradient() -> None:
    gradients = torch.tensor([[1.0], [3.0]])
    found = embedding_statistics(torch.tensor([0, 1]), gradients, vocabulary=5, padding_index=1)
    assert (found["l2"], found["max"]) == (1.0, 1.0)
