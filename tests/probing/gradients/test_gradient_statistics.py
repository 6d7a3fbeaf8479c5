"""The two matrices' statistics against the full gradient, written out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from grads.probing.gradients import gradient_statistics
from grads.probing.gradients.gradient_statistics import (
    embedding_moments,
    head_extremes,
    head_moments,
    moments_of,
    named,
)

NAMES = ("l2", "max", "min", "mean", "std", "mean_abs")


def softmax_errors(tokens: int, vocabulary: int, sharpness: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    errors = torch.softmax(torch.randn(tokens, vocabulary, generator=generator) * sharpness, dim=1)
    errors[torch.arange(tokens), torch.randint(vocabulary, (tokens,), generator=generator)] -= 1.0
    return errors


def states(tokens: int, width: int, shift: float = 0.0, seed: int = 1) -> Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed)) + shift


def extremes(errors: Tensor, hidden: Tensor) -> tuple[float, float]:
    highest, lowest = head_extremes([errors], [hidden])
    return highest[0].item(), lowest[0].item()


def described(gradient: Tensor) -> dict[str, float]:
    gradient = gradient.double()
    found = (gradient.norm(), gradient.max(), gradient.min(), gradient.mean(), gradient.std(correction=0))
    return dict(zip(NAMES, (*map(float, found), gradient.abs().mean().item()), strict=True))


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("tokens", [1, 2, 17])
@pytest.mark.parametrize("vocabulary", [3, 300, 5000])
def test_head_extremes_are_those_of_the_whole_matrix(tokens: int, vocabulary: int, sharpness: float) -> None:
    errors = softmax_errors(tokens, vocabulary, sharpness, seed=tokens + vocabulary)
    for shift in (0.0, 5.0):
        # Hidden states of one sign put the largest entry and the smallest far apart in size.
        hidden = states(tokens, 6, shift)
        whole = errors.T @ hidden
        assert extremes(errors, hidden) == pytest.approx((whole.max().item(), whole.min().item()), rel=1e-5)


def test_head_extremes_of_many_records_go_through_the_rounds_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_statistics, "FIRST_ROWS", 1)
    monkeypatch.setattr(gradient_statistics, "MORE_ROWS", 2)
    errors = [softmax_errors(tokens, 40, 2.0, tokens) for tokens in range(1, 12)]
    hidden = [states(tokens, 2, seed=tokens) for tokens in range(1, 12)]
    # Row 0 has the largest bound and cancels to 0; row 1 has the largest entry, row 2 the smallest.
    errors.append(torch.tensor([[5.0, 4.0, -2.0, *[0.1] * 37], [-5.0, 4.0, -2.0, *[0.1] * 37]]))
    hidden.append(torch.ones(2, 2))
    highest, lowest = head_extremes(errors, hidden)
    for index, (error, state) in enumerate(zip(errors, hidden, strict=True)):
        whole = error.T @ state
        assert highest[index].item() == pytest.approx(whole.max().item(), rel=1e-5)
        assert lowest[index].item() == pytest.approx(whole.min().item(), rel=1e-5)
    assert (highest[-1].item(), lowest[-1].item()) == (8.0, -4.0)


@pytest.mark.parametrize("seed", range(20))
def test_head_extremes_are_exact_also_where_bounds_are_rounded(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_statistics, "FIRST_ROWS", 1)
    monkeypatch.setattr(gradient_statistics, "MORE_ROWS", 2)
    errors, hidden = softmax_errors(9, 200, 1.0, seed).bfloat16(), states(9, 3, seed=seed).bfloat16()
    whole = errors.T @ hidden
    assert extremes(errors, hidden) == (whole.max().item(), whole.min().item())


def test_head_extremes_are_exact_also_where_bounds_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the same bound come in another order when more of them are asked for, and none may be passed over."""
    monkeypatch.setattr(gradient_statistics, "FIRST_ROWS", 4)
    for place in range(0, 300, 7):
        # All rows have the bound 4, and all but one cancel to 0.
        errors = torch.tensor([[2.0], [-2.0]]).repeat(1, 300)
        errors[:, place] = 2.0
        assert extremes(errors, torch.ones(2, 1)) == (4.0, 0.0), place


def test_head_extremes_visit_few_rows_of_a_large_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, hidden = softmax_errors(18, 50_000, 3.0, seed=0), torch.randn(18, 32)
    monkeypatch.setattr(gradient_statistics, "MORE_ROWS", 10**9)
    largest = []
    matmul = Tensor.__matmul__
    monkeypatch.setattr(Tensor, "__matmul__", lambda a, b: largest.append(a.shape[0]) or matmul(a, b))
    extremes(errors, hidden)
    assert max(size for size in largest if size != 18) <= gradient_statistics.FIRST_ROWS


@pytest.mark.parametrize("capped", [False, True])
def test_head_moments_are_those_of_the_whole_matrix(capped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_statistics, "MOST_ENTRIES", 40)
    errors = [softmax_errors(tokens, 50, 2.0, tokens) for tokens in (1, 5, 12)]
    # The slope of soft-capping takes the sum of a row of errors away from 0.
    errors = [error * torch.rand(error.shape) for error in errors] if capped else errors
    hidden = [states(tokens, 6) for tokens in (1, 5, 12)]
    found = named(head_moments(errors, hidden, not capped, True).numpy(), 50 * 6)
    for index, (error, state) in enumerate(zip(errors, hidden, strict=True)):
        expected = described(error.T @ state / len(error))
        for name in NAMES:
            allowed = 1e-5 * (expected["std"] if name == "mean" else abs(expected[name]))
            assert abs(found[name][index] - expected[name]) <= allowed, name
    assert (found["mean"] == 0).all() == (not capped)


def test_absolutes_of_the_head_are_summed_only_where_asked_for() -> None:
    moments = head_moments([softmax_errors(3, 50, 2.0, 0)], [states(3, 6)], True, False)
    assert moments[0].isnan().tolist() == [False, False, True, False, False]


def test_head_statistics_of_one_token_by_hand() -> None:
    # softmax (0.5, 0.25, 0.25), target 0: G = (-0.5, 0.25, 0.25)^T (2, -4).
    moments = head_moments([torch.tensor([[-0.5, 0.25, 0.25]])], [torch.tensor([[2.0, -4.0]])], True, True)
    found = {name: value[0] for name, value in named(moments.numpy(), 6).items()}
    assert found["l2"] == pytest.approx((0.375 * 20) ** 0.5)
    assert (found["max"], found["min"], found["mean"], found["mean_abs"]) == (2.0, -1.0, 0.0, 1.0)
    assert found["std"] == pytest.approx((0.375 * 20 / 6) ** 0.5)


def embedding(ids: list[list[int]], gradients: Tensor, rows: int, padding: int | None) -> dict[str, np.ndarray]:
    return named(embedding_moments(ids, gradients, rows, padding).numpy(), rows * gradients.shape[2])


def test_embedding_statistics_sum_equal_tokens_and_count_untouched_rows() -> None:
    gradients = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]], [[-1.0, -2.0], [0.0, 0.0], [0.0, 0.0]]])
    found = embedding([[7, 2, 7], [4]], gradients, 10, None)
    # Rows: 7 -> (11, 22), 2 -> (3, 4), eight rows of zeros; and 4 -> (-1, -2), nine rows of zeros.
    assert found["l2"] == pytest.approx([(121 + 484 + 9 + 16) ** 0.5, 5**0.5])
    assert found["max"].tolist() == [22.0, 0.0]
    assert found["min"].tolist() == [0.0, -2.0]
    assert found["mean"] == pytest.approx([2.0, -0.15])
    assert found["std"] == pytest.approx([(630 / 20 - 4) ** 0.5, (5 / 20 - 0.15**2) ** 0.5])
    assert found["mean_abs"] == pytest.approx([2.0, 0.15])


def test_embedding_statistics_of_a_fully_touched_matrix_have_no_zeros() -> None:
    found = embedding([[0, 1], [1, 1]], torch.tensor([[[1.0], [3.0]], [[1.0], [3.0]]]), 2, None)
    assert found["min"].tolist() == [1.0, 0.0]
    assert found["max"].tolist() == [3.0, 4.0]
    assert found["std"].tolist() == [1.0, 2.0]


def test_padding_row_has_no_gradient() -> None:
    gradients = torch.tensor([[[1.0], [3.0]]])
    found = embedding([[0, 1]], gradients, 5, 1)
    assert (found["l2"][0], found["max"][0]) == (1.0, 1.0)
    assert embedding([[1, 1]], gradients, 5, 1)["l2"][0] == 0.0


def test_moments_become_statistics() -> None:
    rows = states(4, 30, 0.2)
    found = named(moments_of(rows).numpy(), 30)
    for index, row in enumerate(rows):
        for name, value in described(row).items():
            assert found[name][index] == pytest.approx(value, rel=1e-5)


def test_rounding_makes_no_square_root_of_a_negative_number() -> None:
    # All entries alike: squares and mean cancel, and in float32 may come out below 0.
    moments = np.array([[30 * 0.1**2 - 1e-9, 3.0, 3.0, 0.1, 0.1]])
    assert named(moments, 30)["std"][0] == 0.0


def test_tokens_are_told_apart_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(12, (length,), generator=generator).tolist() for length in (20, 13, 1)]
    gradients = torch.randn(3, 20, 4, generator=generator)
    for row, tokens in enumerate(ids):
        gradients[row, len(tokens) :] = 0
    whole = embedding_moments(ids, gradients, 12, 3)
    for entries in (1, 60, 3 * 60):
        monkeypatch.setattr(gradient_statistics, "MOST_ENTRIES", entries)
        torch.testing.assert_close(embedding_moments(ids, gradients, 12, 3), whole)
