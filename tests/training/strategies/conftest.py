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


@pytest.fixture
def batch():
    """Return a micro-batch by its logits, P x vocabulary, its labels, and which record each prediction is of."""
    import torch

    from grads.training.strategies.contract import Batch

    def make(logits, labels, records=None):
        places = torch.arange(len(labels))
        rows = torch.zeros_like(places) if records is None else torch.tensor(records)
        ids = torch.zeros(int(rows.max()) + 1, len(labels) + 1, dtype=torch.long)
        return Batch(ids, rows, places, torch.tensor(labels), torch.ones(len(labels)), logits)

    return make
