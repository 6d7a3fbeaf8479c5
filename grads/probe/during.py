"""Gradients during the preliminary epoch: each record's own, by the weights that its optimiser step begins with.

It saves the preliminary epoch no pass, for a training step has no gradient of single records; and it is not the same as
a probe after the epoch: every record meets other weights, so its place in the order is part of what is measured. The
run itself is not changed by being watched.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from grads.data.formatting import Example
from grads.probe.gradients import columns, gradient_statistics
from grads.probe.stage import with_statistics
from grads.probe.store import example_frame, write_store
from grads.runtime.files import write_text
from grads.study.config import Probe


class During:
    """Watches a training run of one epoch and writes the store `during`.

    Args:
        out: folder of the store.
        probe: token budget of a batch; the weights are in the precision of the training.
        measures: `gradients`, with `adapter` or `mean_abs` for more.
    """

    def __init__(self, out: Path, probe: Probe, measures: Collection[str]) -> None:
        self.out, self.probe, self.measures = out, probe, sorted(measures)
        self.key: Any = {"measures": self.measures, "token_budget": probe.token_budget}

    def open(self, scratch: Path, padding: int) -> None:
        """Start, or go on after a stop with the rows that `scratch` holds."""
        self.rows, self.padding = scratch / "during.jsonl", padding
        if self.rows.is_file():
            whole, newline, _ = self.rows.read_text(encoding="utf-8").rpartition("\n")
            write_text(self.rows, whole + newline)

    def before_step(self, model: nn.Module, examples: list[Example]) -> None:
        """Measure the examples of the next step and append them to the file."""
        rows = gradient_statistics(model, examples, self.probe.token_budget, self.padding, measures=self.measures)
        signals = with_statistics(example_frame(examples), rows, self.measures)
        with self.rows.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in signals.to_dict("records"))

    def close(self, seconds: float) -> None:
        """Write the store; steps that were repeated after a stop count as they were the last time."""
        lines = self.rows.read_text(encoding="utf-8").splitlines()
        found = {row["id"]: row for row in map(json.loads, lines)}
        signals = pd.DataFrame(list(found.values())).astype(dict.fromkeys(columns(self.measures), "float64"))
        meta = {"point": "during", "measures": self.measures, "token_budget": self.probe.token_budget}
        # One pass to train, one to measure.
        write_store(self.out, signals, meta=meta | {"gradient_passes": 2, "seconds": round(seconds, 3)})
