"""Statistics of records' gradients with respect to the input embedding and the LM head, without building either.

For both matrices they run over all V x d entries, vocabulary size times width; rows of the embedding that a record does
not touch are zero. The population standard deviation follows from the l2 norm and the mean. No record waits for the
device by itself: `head_extremes` waits once a round.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from grads.models.cpu.products import gram

# Of each gradient: sum of squares, sum, sum of absolutes, largest and smallest entry.
MOMENTS = 5
# Rows of the LM head's gradient that are computed at first, and the factor by which more follow while they may matter.
FIRST_ROWS = 256
MORE_ROWS = 8
# Numbers held at once where all entries of the LM head's gradient are visited, or a record's tokens are told apart:
# 64 MiB in float32.
MOST_ENTRIES = 2**24
# Bounds are computed in the type of the errors; they must not come out below what they bound.
SLACK = {torch.float32: 1.0001, torch.bfloat16: 1.02}


def named(moments: np.ndarray, entries: int) -> dict[str, np.ndarray]:
    """Return l2, max, min, mean, std and mean_abs (each N) from N x `MOMENTS` of gradients with so many entries."""
    squared, total, absolute, highest, lowest = moments.astype(np.float64).T
    mean = total / entries
    std = np.sqrt(np.clip(squared / entries - mean**2, 0, None))
    return {
        "l2": np.sqrt(squared), "max": highest, "min": lowest, "mean": mean, "std": std, "mean_abs": absolute / entries,
    }  # fmt: skip


def moments_of(rows: Tensor) -> Tensor:
    """Return B x `MOMENTS` of gradients B x entries."""
    found = (rows.square().sum(dim=1), rows.sum(dim=1), rows.abs().sum(dim=1), rows.amax(dim=1), rows.amin(dim=1))
    return torch.stack(found, dim=1)


def joined(parts: Tensor) -> Tensor:
    """Return B x `MOMENTS` of gradients whose P parts have those, P x B x `MOMENTS`."""
    highest = parts[..., 3].amax(dim=0)
    lowest = parts[..., 4].amin(dim=0)
    return torch.cat([parts[..., :3].sum(dim=0), torch.stack([highest, lowest], dim=1)], dim=1)


def embedding_moments(
    token_ids: Sequence[Sequence[int]], gradients: Tensor, vocabulary: int, padding_index: int | None
) -> Tensor:
    """Return B x `MOMENTS` of the input embedding's gradient for each of B records.

    Args:
        token_ids: ids of each record's tokens.
        gradients: B x longest x d, the loss gradient with respect to the looked-up row of each token, float32; what
            follows a record's tokens is zero.
        vocabulary: number of rows V of the embedding matrix.
        padding_index: row that never receives a gradient (torch's `padding_idx`), if there is one. Autograd leaves that
            row zero wherever its token stands, also when the same token ends every turn of a chat.
    """
    batch, longest, _ = gradients.shape
    found = [np.unique(ids, return_inverse=True) for ids in token_ids]
    most = max(len(tokens) for tokens, _ in found)
    # So many distinct tokens at once: each has a number for every position.
    step = max(1, MOST_ENTRIES // (batch * longest))
    parts = []
    for first in range(0, most, step):
        # A product instead of a scatter: the latter adds in an order that varies on a GPU.
        membership = np.zeros((batch, min(step, most - first), longest), dtype=np.float32)
        for index, (tokens, position) in enumerate(found):
            here = np.flatnonzero((position >= first) & (position < first + step))
            counts = tokens[position[here]] != (-1 if padding_index is None else padding_index)
            membership[index, position[here] - first, here] = counts
        parts.append(moments_of(torch.bmm(torch.from_numpy(membership).to(gradients.device), gradients).flatten(1)))
    moments = joined(torch.stack(parts))
    # Where every row is touched there is no zero among the entries unless one of the rows is.
    whole = torch.tensor([len(tokens) == vocabulary for tokens, _ in found], device=moments.device)
    moments[:, 3] = torch.where(whole, moments[:, 3], moments[:, 3].clamp(min=0))
    moments[:, 4] = torch.where(whole, moments[:, 4], moments[:, 4].clamp(max=0))
    return moments


def head_moments(errors: Sequence[Tensor], hidden: Sequence[Tensor], sums_to_zero: bool, absolute: bool) -> Tensor:
    """Return B x `MOMENTS` of the LM head's gradient G = errors^T hidden / T for each of B records.

    Args:
        errors: of each record T x V, the gradient of each token's loss with respect to the head's output; without
            soft-capping softmax - onehot.
        hidden: of each record T x d, the head's inputs.
        sums_to_zero: whether each row of the errors sums to zero, as softmax - onehot does; so does G then.
        absolute: whether the sum of absolutes is wanted, which visits all entries; NaN if not.

    The norm is ||G||^2 = sum over s, t of (e_t . e_s)(h_t . h_s) / T^2.
    """
    nothing = torch.zeros((), device=errors[0].device)
    squared = []
    total = []
    visited = []
    for error, state in zip(errors, hidden, strict=True):
        squared.append((gram(error) * gram(state)).sum().clamp(min=0))
        sums = nothing if sums_to_zero else (error.float().sum(dim=1) * state.float().sum(dim=1)).sum()
        total.append(sums)
        visited.append(head_absolute(error, state) if absolute else nothing * torch.nan)
    highest, lowest = head_extremes(errors, hidden)
    sizes = torch.tensor([float(len(error)) for error in errors], device=nothing.device)
    found = torch.stack([torch.stack(part).float() for part in (squared, total, visited, highest, lowest)], dim=1)
    return found / torch.stack([sizes.square(), sizes, sizes, sizes, sizes], dim=1)


def head_absolute(errors: Tensor, hidden: Tensor) -> Tensor:
    """Return the sum of |g| over all V x d entries of G = errors^T hidden (T x V, T x d), few of them held at once."""
    step = max(1, MOST_ENTRIES // hidden.shape[1])
    parts = [(part.mT @ hidden).abs().sum(dtype=torch.float32) for part in errors.split(step, dim=1)]
    return torch.stack(parts).sum()


def head_extremes(errors: Sequence[Tensor], hidden: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the largest and the smallest entry of G = errors^T hidden (T x V, T x d) of each record, from few rows.

    They are exact: no entry of row v exceeds sum_t |e_tv| max_j |h_tj|. Rows are visited by falling bound until the
    next bound is neither above the largest entry found nor below the smallest. All records that need more rows go
    through a round together.
    """
    vocabulary = errors[0].shape[1]
    bounds = [_bound(error, state) for error, state in zip(errors, hidden, strict=True)]
    found: list[Tensor] = [torch.zeros(3, device=bounds[0].device)] * len(errors)
    left = list(range(len(errors)))
    visited = 0
    more = min(FIRST_ROWS, vocabulary)
    while left:
        for index in left:
            limits, rows = bounds[index].topk(min(more + 1, vocabulary))
            entries = (errors[index].index_select(1, rows[:more]).mT @ hidden[index]).float()
            fresh = torch.stack([entries.amax(), entries.amin(), limits[-1]])
            if visited:
                fresh[0] = torch.maximum(fresh[0], found[index][0])
                fresh[1] = torch.minimum(fresh[1], found[index][1])
            found[index] = fresh
            # Rows of equal bounds come in any order, so those that were visited are told apart by what they are.
            bounds[index].index_fill_(0, rows[:more], -torch.inf)
        visited += more
        if visited == vocabulary:
            break
        known = torch.stack([found[index] for index in left]).tolist()
        left = [i for i, (high, low, limit) in zip(left, known, strict=True) if limit > min(high, -low)]
        more = min(visited * (MORE_ROWS - 1), vocabulary - visited)
    return [entry[0] for entry in found], [entry[1] for entry in found]


def _bound(errors: Tensor, hidden: Tensor) -> Tensor:
    """Return V bounds sum_t |e_tv| max_j |h_tj|, float32."""
    largest = hidden.abs().amax(dim=1)
    return (largest @ errors.abs()).float() * SLACK[errors.dtype]
