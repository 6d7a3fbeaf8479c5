"""Losses of all records at checkpoints of a training run, for methods that compare how records are learnt (S2L).

The run is one over all training records with a schedule of its own. The losses are taken forward-only, by the weights
of the moment, between its steps; the run itself is not changed by being watched.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from grads.config.probe import Probe
from grads.data.records.formatting import Example
from grads.models.device import device
from grads.models.flops import probe_flops, training_flops
from grads.models.memory import spent
from grads.probing.budget import Budget
from grads.probing.measure import measure
from grads.runtime.errors import GradsError
from grads.runtime.files import reading
from grads.runtime.journal import Journal
from grads.signals.blocks import example_frame
from grads.signals.names import TRAJECTORY_LOSSES
from grads.signals.store import write_store


def checkpoint_steps(steps: int, checkpoints: int) -> list[int]:
    """Return the steps after which losses are taken: evenly spaced, the last one included, each once."""
    return sorted({max(1, round(number * steps / checkpoints)) for number in range(1, checkpoints + 1)})


class TrajectoryLosses:
    """Watches a training run and writes the store `trajectory`, whose vectors `losses` are N x checkpoints.

    A run of fewer steps than checkpoints has one a step. Rows are ordered by id.

    Args:
        out: folder of the store.
        probe: token budget, and how many checkpoints; the weights are in the precision of the training.
    """

    def __init__(self, out: Path, probe: Probe) -> None:
        self.out = out
        self.probe = probe
        self.key: Any = {"trajectory": probe.trajectory.model_dump(), "nonfinite": probe.nonfinite}

    def open(self, scratch: Path, padding: int, visits: list[Example], shaped_by: str) -> None:
        """Start, or go on after a stop with the losses that `scratch` holds."""
        self.examples = sorted({example.id: example for example in visits}.values(), key=lambda example: example.id)
        self.journal = Journal(scratch / "trajectory")
        self.padding = padding
        self.shaped_by = shaped_by
        self.ahead = self.examples
        self.budget = Budget(self.probe.token_budget)
        self.losses: dict[int, np.ndarray] = {}
        self.steps = 0
        for entry in self.journal:
            self._note(entry)
            self.ahead = []

    def before_step(self, model: nn.Module, examples: list[Example]) -> None:
        """Nothing is seen before a step."""

    def after_step(self, model: nn.Module, step: int, steps: int, optimizer: Any) -> None:
        """Take the losses of all records if the step is one of the checkpoints and they are not known yet."""
        if step in self.losses or step not in checkpoint_steps(steps, self.probe.trajectory.checkpoints):
            return
        found = measure(model, self.examples, ["losses"], self.budget, self.padding, ahead=self.ahead)
        self.ahead = []
        header = json.dumps({"step": step, "steps": steps, "state": self.budget.state()})
        entry = header.encode() + b"\n" + found.columns["response_nll"].tobytes()
        self.journal.append(entry)
        self._note(entry)

    def _note(self, entry: bytes) -> None:
        """Take what was kept of one checkpoint: its step, the steps of the run, the budget, and all records' losses."""
        remedy = f"delete {self.journal.path.parent} and run again"
        with reading(self.journal.path, remedy):
            header, _, content = entry.partition(b"\n")
            kept = json.loads(header)
            losses = np.frombuffer(content)
            if len(losses) != len(self.examples):
                raise ValueError(f"it is of {len(losses)} records, and there are {len(self.examples)}")
            self.steps = kept["steps"]
            self.losses[kept["step"]] = losses
            self.budget.restore(kept["state"])

    def close(self, seconds: float, model: nn.Module, tokens: int) -> None:
        """Write the store.

        Raises:
            GradsError: a loss is no finite number and such records are not to be left out, or what a stopped run had
                taken is gone.
        """
        steps = sorted(self.losses)
        if steps != checkpoint_steps(self.steps, self.probe.trajectory.checkpoints):
            raise GradsError(f"{self.journal.path} has lost losses of a stopped run: delete its folder and run again")
        vectors = np.stack([self.losses[step] for step in steps], axis=1)
        meta = {"point": "trajectory", "key": self.shaped_by, "steps": steps} | self.key
        meta |= {"token_budget": self.probe.token_budget, "deviations": self.budget.deviations}
        # Each epoch trains on every record once.
        meta |= {"gradient_passes": self.probe.trajectory.epochs, "forward_passes": len(steps)}
        seen = len(steps) * sum(len(example.input_ids) for example in self.examples)
        measuring = probe_flops(sum(parameter.numel() for parameter in model.parameters()), 0, seen)
        meta["flops"] = training_flops(model, tokens) + measuring
        meta |= spent(time.monotonic() - seconds, device())
        kept = np.isfinite(vectors).all(axis=1) | (self.probe.nonfinite != "skip")
        meta["left_out"] = [example.id for example, good in zip(self.examples, kept, strict=True) if not good]
        frame = example_frame(self.examples)[kept].reset_index(drop=True)
        write_store(self.out, frame, {TRAJECTORY_LOSSES: vectors[kept]}, meta)
