"""Gradients during the preliminary epoch: each record's own, by the weights that its optimiser step begins with.

It saves the preliminary epoch no pass, for a training step has no gradient of single records; and it is not the same as
a probe after the epoch: every record meets other weights, so its place in the order is part of what is measured. The
run itself is not changed by being watched.
"""

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from grads.config.probe import Probe
from grads.data.records.formatting import Example
from grads.models.device import device
from grads.models.flops import probe_flops, training_flops
from grads.models.memory import spent
from grads.probing.budget import Budget
from grads.probing.measure import measure
from grads.runtime.errors import GradsError
from grads.runtime.journal import Journal
from grads.signals.blocks import Rows, example_frame, make_rows
from grads.signals.finite import only_finite
from grads.signals.measures.registry import signal_modules
from grads.signals.store import write_parts
from grads.study.code import code_version


class During:
    """Watches a training run of one epoch and writes the store `during`.

    Args:
        out: folder of the store.
        probe: token budget, and how signals are taken; the weights are in the precision of the training.
        measures: see `grads.signals.names`; all but those that need a finished epoch.
    """

    def __init__(self, out: Path, probe: Probe, measures: Collection[str]) -> None:
        self.out = out
        self.probe = probe
        self.measures = sorted(measures)
        kept: dict[str, Any] = {"features": probe.features.model_dump(), "hidden_layer": probe.hidden_layer}
        kept["nonfinite"] = probe.nonfinite
        if declared := signal_modules(measures):
            kept["signals_code"] = code_version(*declared)
        self.key: Any = {"measures": self.measures, **kept}

    def open(self, scratch: Path, padding: int, visits: list[Example], shaped_by: str) -> None:
        """Start, or go on after a stop with the rows that `scratch` holds."""
        self.journal = Journal(scratch / "during")
        self.padding = padding
        self.shaped_by = shaped_by
        self.ahead = visits
        self.budget = Budget(self.probe.token_budget)
        known = {example.id for example in visits}
        for rows in map(Rows.from_bytes, self.journal):
            if not known.issuperset(rows.signals["id"]):
                raise GradsError(f"{self.journal.path} is of other records: delete {scratch} and run again")
            self.budget.restore(rows.notes["state"])
            self.ahead = []

    def before_step(self, model: nn.Module, examples: list[Example]) -> None:
        """Measure the examples of the next step and keep what was found.

        Raises:
            GradsError: a signal is no finite number and such records are not to be left out, or see `measure`.
        """
        options: dict[str, Any] = {"features": self.probe.features, "layer": self.probe.hidden_layer}
        found = measure(model, examples, self.measures, self.budget, self.padding, ahead=self.ahead, **options)
        self.ahead = []
        rows, left_out = only_finite(make_rows(example_frame(examples), found), self.probe.nonfinite == "skip")
        notes = {"left_out": left_out, "state": self.budget.state()}
        self.journal.append(replace(rows, notes=notes).to_bytes())

    def after_step(self, model: nn.Module, step: int, steps: int, optimizer: Any) -> None:
        """Nothing is seen after a step."""

    def close(self, seconds: float, model: nn.Module, tokens: int) -> None:
        """Write the store; steps that were repeated after a stop count as they were the last time."""
        kept: dict[str, bool] = {}
        for rows in map(Rows.from_bytes, self.journal):
            kept |= dict.fromkeys(rows.signals["id"], True) | dict.fromkeys(rows.notes["left_out"], False)
        ids, left_out = ([id_ for id_, is_kept in kept.items() if is_kept == wanted] for wanted in (True, False))
        meta = {"point": "during", "key": self.shaped_by, "left_out": left_out} | self.key
        meta |= {"token_budget": self.probe.token_budget, "deviations": self.budget.deviations}
        # One pass to train, one to measure.
        measuring = probe_flops(sum(parameter.numel() for parameter in model.parameters()), 1, tokens)
        meta |= {"gradient_passes": 2, "flops": training_flops(model, tokens) + measuring}
        meta |= spent(time.monotonic() - seconds, device())
        write_parts(self.out, map(Rows.from_bytes, self.journal), ids, meta)
