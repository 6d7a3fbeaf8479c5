"""Statistics of one example's gradient with respect to the input embedding and the LM head, without building either.

For both matrices the statistics run over all V x d entries, vocabulary size times width; rows of the embedding that the
example does not touch are zero. The population standard deviation follows from the l2 norm and the mean.
"""

import math

import torch
from torch import Tensor

# Rows of the LM head's gradient that are computed at first, and the factor by which more follow while they may matter.
FIRST_ROWS, MORE_ROWS = 256, 8
# Entries of the LM head's gradient held at once where all are visited: 64 MiB in float32.
MOST_ENTRIES = 2**24


def embedding_statistics(
    token_ids: Tensor, gradients: Tensor, vocabulary: int, padding_index: int | None
) -> dict[str, float]:
    """Return l2, max, min, mean, std and mean_abs of the input embedding's gradient for one example.

    Args:
        token_ids: ids of the example's n tokens.
        gradients: n x d, the loss gradient with respect to the looked-up row of each token, float32.
        vocabulary: number of rows V of the embedding matrix.
        padding_index: row that never receives a gradient (torch's `padding_idx`), if there is one. Autograd leaves that
            row zero wherever its token stands, also when the same token ends every turn of a chat.
    """
    tokens, position = token_ids.unique(return_inverse=True)
    # A product instead of a scatter: the latter adds in an order that varies on a GPU.
    membership = torch.nn.functional.one_hot(position, len(tokens)).to(gradients.dtype)
    rows = membership.T @ gradients
    if padding_index is not None:
        rows[tokens == padding_index] = 0.0
    wide = rows.double()
    found = (wide.square().sum(), wide.sum(), wide.abs().sum(), wide.max(), wide.min())
    squared, total, absolute, highest, lowest = torch.stack(found).tolist()
    if len(tokens) < vocabulary:
        highest, lowest = max(highest, 0.0), min(lowest, 0.0)
    entries = vocabulary * rows.shape[1]
    return _named(squared, total, highest, lowest, entries) | {"mean_abs": absolute / entries}


def head_statistics(errors: Tensor, hidden: Tensor, rows_sum_to_zero: bool) -> dict[str, float]:
    """Return l2, max, min, mean and std of the LM head's gradient G = errors^T hidden for one example.

    Args:
        errors: T x V, the loss gradient with respect to the head's output; without soft-capping
            (softmax - onehot) / T.
        hidden: T x d, the head's inputs, float32.
        rows_sum_to_zero: whether each row of `errors` sums to zero, as softmax - onehot does; their mean is then 0.

    The norm is ||G||^2 = sum over s, t of (e_t . e_s)(h_t . h_s).
    """
    squared = ((errors @ errors.T).double() * (hidden @ hidden.T).double()).sum()
    total = (errors.sum(dim=1, dtype=torch.float64) * hidden.sum(dim=1, dtype=torch.float64)).sum()
    highest, lowest = head_extremes(errors, hidden)
    mass = 0.0 if rows_sum_to_zero else float(total)
    return _named(max(float(squared), 0.0), mass, highest, lowest, errors.shape[1] * hidden.shape[1])


def head_mean_abs(errors: Tensor, hidden: Tensor) -> float:
    """Return mean |g| over all V x d entries of G = errors^T hidden (T x V and T x d), holding few of them at once."""
    step = max(1, MOST_ENTRIES // hidden.shape[1])
    total = sum((part.T @ hidden).abs().sum(dtype=torch.float64) for part in errors.split(step, dim=1))
    return float(total) / (errors.shape[1] * hidden.shape[1])


def head_extremes(errors: Tensor, hidden: Tensor) -> tuple[float, float]:
    """Return the exact largest and smallest entry of G = errors^T hidden (T x V and T x d) from few of its V rows.

    No entry of row v exceeds sum_t |e_tv| max_j |h_tj|. Rows are visited by falling bound until the next bound is
    neither above the largest entry found nor below the smallest.
    """
    vocabulary = errors.shape[1]
    bound = hidden.abs().amax(dim=1) @ errors.abs()
    highest, lowest = -math.inf, math.inf
    visited, wanted = 0, min(FIRST_ROWS, vocabulary)
    while True:
        limits, rows = bound.topk(min(wanted + 1, vocabulary))
        gradient = errors[:, rows[visited:wanted]].T @ hidden
        found = torch.stack([gradient.max(), gradient.min(), limits[-1]]).tolist()
        highest, lowest = max(highest, found[0]), min(lowest, found[1])
        if wanted == vocabulary or found[2] <= min(highest, -lowest):
            return highest, lowest
        visited, wanted = wanted, min(wanted * MORE_ROWS, vocabulary)


def _named(squared: float, total: float, highest: float, lowest: float, entries: int) -> dict[str, float]:
    mean = total / entries
    std = math.sqrt(max(squared / entries - mean * mean, 0.0))
    return {"l2": math.sqrt(squared), "max": highest, "min": lowest, "mean": mean, "std": std}
