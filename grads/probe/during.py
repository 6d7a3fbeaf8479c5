"""Gradients during the preliminary epoch: each record's own, by the weights that its optimiser step begins with.

It saves the preliminary epoch no pass, for a training step has no gradient of single records; and it is not the same as
a probe after the epoch: every record meets other weights, so its place in the order is part of what is measured. The
run itself is not changed by being watched.
"""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import nn

from grads.data.formatting import Example
from grads.models.device import device
from grads.models.memory import spent
from grads.probe.measure import measure
from grads.probe.rows import Rows, example_frame, make_rows
from grads.probe.store import not_finite, not_finite_error, write_parts
from grads.runtime.journal import Journal
from grads.study.config import Probe


class During:
    """Watches a training run of one epoch and writes the store `during`.

    Args:
        out: folder of the store.
        probe: token budget, and how signals are taken; the weights are in the precision of the training.
        measures: see `grads.study.measures`; all but those that need a finished epoch.
    """

    def __init__(self, out: Path, probe: Probe, measures: Collection[str]) -> None:
        self.out, self.probe, self.measures = out, probe, sorted(measures)
        kept = {"features": probe.features.model_dump(), "hidden_layer": probe.hidden_layer}
        self.key: Any = {"measures": self.measures, **kept}

    def open(self, scratch: Path, padding: int, visits: list[Example]) -> None:
        """Start, or go on after a stop with the rows that `scratch` holds."""
        self.journal, self.padding = Journal(scratch / "during"), padding

    def before_step(self, model: nn.Module, examples: list[Example]) -> None:
        """Measure the examples of the next step and keep what was found.

        Raises:
            GradsError: a signal is no finite number; the training itself goes astray then.
        """
        options: dict[str, Any] = {"features": self.probe.features, "layer": self.probe.hidden_layer}
        found = measure(model, examples, self.measures, self.probe.token_budget, self.padding, **options)
        rows = make_rows(example_frame(examples), found)
        if (bad := not_finite(rows)).any():
            raise not_finite_error(rows, bad)
        self.journal.append(rows.to_bytes())

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """Nothing is seen after a step."""

    def close(self, seconds: float) -> None:
        """Write the store; steps that were repeated after a stop count as they were the last time."""
        ids = dict.fromkeys(id_ for rows in map(Rows.from_bytes, self.journal) for id_ in rows.signals["id"])
        meta = {"point": "during", "token_budget": self.probe.token_budget} | self.key
        # One pass to train, one to measure.
        meta |= {"gradient_passes": 2} | spent(time.monotonic() - seconds, device())
        write_parts(self.out, map(Rows.from_bytes, self.journal), list(ids), meta)
