"""What strategies are tried on."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from grads.data.records.formatting import Example


@pytest.fixture
def store():
    """Return a stand-in for a signal store, of token losses by id."""

    def make(losses, left_out=()):
        arrays = [np.asarray(values, dtype=np.float32) for values in losses.values()]
        table = pd.DataFrame({"id": list(losses)})
        return SimpleNamespace(signals=table, left_out=list(left_out), token_losses=lambda: arrays)

    return make


@pytest.fixture
def examples():
    """Return n examples of one prompt token and three of response, by id."""
    return lambda n, name="r": {f"{name}{i}": Example(f"{name}{i}", [1, 2, 3, 4], 1) for i in range(n)}
