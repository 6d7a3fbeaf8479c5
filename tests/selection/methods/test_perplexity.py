"""Perplexity: top, mid and low by hand, and `mid` against the authors' slice of the sorted list."""

import numpy as np
import pandas as pd
import pytest

from grads.selection.contract import Inputs
from grads.selection.methods.perplexity import METHOD, Perplexity, from_start

# From above: records 3, 1, 5, 0, 4, 2.
LOSSES = [2.0, 5.0, 0.5, 7.0, 1.0, 3.0]


def ranked(losses: list[float], **parameters: str) -> list[int]:
    pool = pd.DataFrame({"id": [f"{position:03d}" for position in range(len(losses))]})
    columns = {"sequence_nll": losses, "response_nll": [-value for value in losses]}
    inputs = Inputs({"tokens": pool, "base": pool.assign(**columns)}, {}, {}, 1, 0)
    return np.argsort(-METHOD.select(inputs, Perplexity(**parameters)).score, kind="stable").tolist()


def test_by_hand() -> None:
    assert ranked(LOSSES, part="top") == [3, 1, 5, 0, 4, 2]
    assert ranked(LOSSES, part="low") == [2, 4, 0, 5, 1, 3]
    # 0.33 of 6 is 1.98: the start is the second from above; when all below are taken, the first follows.
    assert ranked(LOSSES, part="mid") == [1, 5, 0, 4, 2, 3]


def test_the_response_alone_may_count() -> None:
    assert ranked(LOSSES, part="top", tokens="response") == [2, 4, 0, 5, 1, 3]
    assert METHOD.needs(Perplexity()).stores == {"base": {"prompt"}}
    assert METHOD.needs(Perplexity(tokens="response", point="warm")).stores == {"warm": {"losses"}}


@pytest.mark.parametrize("count", [1, 2, 10, 101])
def test_mid_is_the_slice_of_the_sorted_list(count: int) -> None:
    losses = np.random.default_rng(count).lognormal(size=count)
    order = np.argsort(-from_start(losses))
    start = int(0.33 * count)
    falling = np.argsort(-losses)
    for keep in range(1, count - start + 1):
        assert order[:keep].tolist() == falling[start : start + keep].tolist()
    assert order[count - start :].tolist() == falling[:start][::-1].tolist()


def test_records_of_one_loss_are_equal() -> None:
    assert from_start(np.array([2.0, 2.0, 2.0, 2.0])).tolist() == [0.0] * 4
