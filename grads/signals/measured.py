"""What a pass of the probe returns; imports nothing heavy, for those who only read what was measured."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Measured:
    """What was measured of N records, in their order.

    Attributes:
        columns: N numbers by column (see `grads.signals.columns.columns`).
        vectors: N x d float32 by measure.
        token_losses: N arrays, the negative log-likelihood of each response token; empty if not asked for.
    """

    columns: dict[str, np.ndarray]
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    token_losses: list[np.ndarray] = field(default_factory=list)
