"""Losses of single response tokens that a signal store holds, as strategies read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    import numpy as np

    from grads.data.records.formatting import Example
    from grads.training.strategies.contract import Inputs


class TokenLosses:
    """The token losses of a store by record.

    Args:
        inputs: what a strategy reads; it has the store.
        store: its name.
    """

    def __init__(self, inputs: Inputs, store: str) -> None:
        self.store = store
        held = inputs.stores[store]
        self.losses: Mapping[str, np.ndarray] = dict(zip(held.signals["id"], held.token_losses(), strict=True))
        self.left_out = set(held.left_out)

    def of(self, example: Example) -> np.ndarray:
        """Return the loss of each response token in nats; NaN for a first token, which nothing precedes.

        Raises:
            GradsError: the store's are of another record.
        """
        import numpy as np

        unpredicted = int(0 in example.response_positions)
        losses = self.losses.get(example.id)
        if losses is None or len(losses) != example.response_tokens - unpredicted:
            found = "no" if losses is None else str(len(losses))
            raise GradsError(
                f"record {example.id} has {example.response_tokens} response tokens and the signals '{self.store}' "
                f"hold {found} losses of it: delete what is outdated, run again"
            )
        return np.concatenate([np.full(unpredicted, np.nan, dtype=np.float32), losses])
