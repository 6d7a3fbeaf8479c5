"""Gradients of all records at checkpoints of a warm-up: a training run on a part of the records, as LESS has it.

At each checkpoint every training record's step of Adam and every validation record's gradient are taken, projected, by
the weights and moments of the moment. The cosines of a pair at the checkpoints are added up with weights that are the
mean learning rates between checkpoints, as shares of their sum. So that methods need not know of checkpoints, a
record's vectors of length 1, each times the root of its checkpoint's weight, are put one after the other into one
vector: it has length 1, and the product of two is that weighted sum. The run itself is not changed by being watched.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.ratios import keep_count
from grads.config.training import Training
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import load_records
from grads.models.device import device
from grads.models.flops import probe_flops, training_flops
from grads.models.load import load_tokenizer
from grads.models.memory import spent
from grads.models.moments import Moments, moments_of
from grads.probing.budget import Budget
from grads.probing.measure import measure
from grads.probing.trajectory import checkpoint_steps
from grads.runtime.errors import GradsError
from grads.runtime.files import reading
from grads.runtime.journal import Journal
from grads.signals.blocks import Rows, example_frame, make_rows
from grads.signals.finite import not_finite_error
from grads.signals.measured import Measured
from grads.signals.names import ADAM_FEATURES, SGD_FEATURES
from grads.signals.store import write_parts
from grads.signals.vectors import split_lengths
from grads.study.seeds import own_seed, shuffled_ids

BLOCK = 2048
"""Records whose vectors are in memory at once."""


class Place(NamedTuple):
    """Records, as a Parquet file, and the folder of their signal store."""

    records: Path
    store: Path


class Part(NamedTuple):
    """Records whose vectors are taken, by a name, and which vectors."""

    name: str
    place: Place
    measure: str


class WarmupFeatures:
    """Watches a warm-up and writes the stores `warmup` and `warmup-validation`.

    Vectors lie in files of the scratch folder until the run has ended, one for each checkpoint; in memory are some
    records' at a time.

    Args:
        model: the prepared model's folder, for its tokenizer.
        form: how records become prompts.
        training: the run's settings, whose schedule gives the checkpoints their weights.
        probe: token budget, projection, and how long the warm-up is.
        train: the training records, all of them, and their store.
        validation: the validation records, and theirs.
    """

    def __init__(
        self, model: Path, form: Format, training: Training, probe: Probe, train: Place, validation: Place
    ) -> None:
        self.model = model
        self.form = form
        self.training = training
        self.probe = probe
        self.parts = (Part("train", train, ADAM_FEATURES), Part("validation", validation, SGD_FEATURES))
        kept = {"warmup": probe.warmup.model_dump(), "features": probe.features.model_dump()}
        self.key: Any = kept | {"nonfinite": probe.nonfinite}

    def open(self, scratch: Path, padding: int, visits: list[Example], shaped_by: str) -> None:
        """Start, or go on after a stop with the vectors that `scratch` holds."""
        formatter = Formatter(load_tokenizer(self.model), self.form)
        self.examples = {part.name: self._examples(formatter, part.place.records) for part in self.parts}
        self.scratch = scratch
        self.journal = Journal(scratch / "warmup")
        self.padding = padding
        self.shaped_by = shaped_by
        self.budget = Budget(self.probe.token_budget)
        self.steps = 0
        self.taken: list[int] = []
        for entry in self.journal:
            with reading(self.journal.path):
                notes = json.loads(entry)
                self.steps = notes["steps"]
                self.taken.append(notes["step"])
                self.budget.restore(notes["state"])

    def _examples(self, formatter: Formatter, records: Path) -> list[Example]:
        found = formatter.tokenize(load_records(records), self.training.max_length, self.training.over_length)
        return sorted(found.examples, key=lambda example: example.id)

    def before_step(self, model: nn.Module, examples: list[Example]) -> None:
        """Nothing is seen before a step."""

    def after_step(self, model: nn.Module, step: int, steps: int, optimizer: Any) -> None:
        """Take the vectors of all records if the step is one of the checkpoints and they are not known yet."""
        if step in self.taken or step not in checkpoint_steps(steps, self.probe.warmup.epochs):
            return
        moments = moments_of(model, optimizer)
        for part in self.parts:
            self._take(part, step, model, moments)
        self.steps = steps
        self.taken.append(step)
        self.journal.append(json.dumps({"step": step, "steps": steps, "state": self.budget.state()}).encode())

    def _take(self, part: Part, step: int, model: nn.Module, moments: Moments) -> None:
        """Write the directions and lengths of a part's vectors at a checkpoint; a file that a kill left is replaced."""
        options: dict[str, Any] = {"features": self.probe.features, "layer": self.probe.hidden_layer}
        options |= {"moments": moments} if part.measure == ADAM_FEATURES else {}
        examples = self.examples[part.name]
        directions = None
        lengths = np.empty(len(examples))
        for some in _blocks(len(examples)):
            found = measure(model, examples[some], [part.measure], self.budget, self.padding, **options)
            units, lengths[some] = split_lengths(found.vectors[part.measure])
            if directions is None:
                shape = (len(examples), units.shape[1])
                path = self._file(part, step, "directions")
                directions = np.lib.format.open_memmap(path, mode="w+", dtype=units.dtype, shape=shape)
            directions[some] = units
        if directions is not None:
            directions.flush()
        np.save(self._file(part, step, "lengths"), lengths)

    def _file(self, part: Part, step: int, what: str) -> Path:
        return self.scratch / f"warmup-{part.name}-{step}-{what}.npy"

    def close(self, seconds: float, model: nn.Module, tokens: int) -> None:
        """Write both stores.

        Raises:
            GradsError: a vector is no finite number and such records are not to be left out, or what a stopped run had
                taken is gone.
        """
        started = time.monotonic()
        steps = checkpoint_steps(self.steps, self.probe.warmup.epochs)
        if sorted(self.taken) != steps:
            raise GradsError(f"{self.journal.path} has lost vectors of a stopped run: delete its folder and run again")
        meta = {"point": "warmup", "key": self.shaped_by, "steps": steps} | self.key
        meta |= {"weights": checkpoint_weights(steps, self.training)}
        meta |= {"token_budget": self.probe.token_budget, "deviations": self.budget.deviations}
        parameters = sum(parameter.numel() for parameter in model.parameters())
        for part in self.parts:
            seen = len(steps) * sum(len(example.input_ids) for example in self.examples[part.name])
            cost: dict[str, Any] = {"gradient_passes": len(steps), "flops": probe_flops(parameters, 1, seen)}
            if part.name == "train":
                # One job makes both stores; what it took is counted with the training records.
                warmup = self.probe.warmup
                cost["gradient_passes"] += round(warmup.share * warmup.epochs, 6)
                cost["flops"] += training_flops(model, tokens)
            cost |= spent(started - seconds if part.name == "train" else time.monotonic(), device())
            self._write(part, meta | cost)

    def _write(self, part: Part, meta: dict[str, Any]) -> None:
        """Write a part's store: the vectors of the checkpoints one after the other, by the roots of their weights."""
        examples = self.examples[part.name]
        frame = example_frame(examples)
        with reading(self.scratch / "warmup", "delete its folder and run again"):
            lengths = np.stack([np.load(self._file(part, step, "lengths")) for step in meta["steps"]])
            files = [np.load(self._file(part, step, "directions"), mmap_mode="r") for step in meta["steps"] if examples]
        good = np.isfinite(lengths).all(axis=0)
        if not good.all() and self.probe.nonfinite != "skip":
            raise not_finite_error(Rows(frame), ~good)
        roots = np.sqrt(np.array(meta["weights"], dtype=np.float32))

        def rows() -> Iterator[Rows]:
            for some in _blocks(len(examples)):
                parts = [root * file[some] for root, file in zip(roots, files, strict=True)]
                joined = np.concatenate(parts, axis=1, dtype=np.float32)[good[some]]
                these = frame[some][good[some]].reset_index(drop=True)
                yield make_rows(these, Measured({}, {part.measure: joined}))

        ids = frame["id"].to_numpy()
        write_parts(part.place.store, rows(), ids[good].tolist(), meta | {"left_out": ids[~good].tolist()})


def _blocks(count: int) -> Iterator[slice]:
    """Yield the records that are in memory together, as slices."""
    yield from (slice(start, start + BLOCK) for start in range(0, count, BLOCK))


def checkpoint_weights(steps: Sequence[int], training: Training) -> list[float]:
    """Return the weight of each checkpoint: the mean learning rate of the steps up to it from the one before.

    They add up to 1.

    Args:
        steps: after which steps the checkpoints are; the last is the run's last.
        training: the run's settings.
    """
    rates = learning_rates(steps[-1], training)
    means = np.array([np.mean(rates[start:end]) for start, end in zip([0, *steps], steps, strict=False)])
    # A run of one warm-up step has no rate but 0.
    total = means.sum()
    shares = means / total if total > 0 else np.full(len(means), 1 / len(means))
    return [float(share) for share in shares]


def learning_rates(steps: int, training: Training) -> list[float]:
    """Return the rate of each optimiser step of a run, by the schedule that runs have."""
    from torch import zeros
    from torch.optim import SGD
    from transformers import get_scheduler

    optimizer = SGD([nn.Parameter(zeros(1))], lr=training.learning_rate)
    schedule = get_scheduler("cosine", optimizer, int(training.warmup * steps), steps)
    rates = []
    for _ in range(steps):
        rates.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return rates


def drawn_share(ids: Sequence[str], share: float, seed: int) -> list[str]:
    """Return the ids that a warm-up trains on: a share of them, drawn by a seed."""
    return shuffled_ids(ids, own_seed(seed, "warmup"))[: keep_count(str(share), len(ids))]
