"""transformers' Trainer with the loss of this project and with divergence as an error."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback

from grads.data.records.formatting import Example
from grads.models.causal import unwrap
from grads.models.device import device
from grads.models.memory import give_back, out_of_memory
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, reading, write_json
from grads.runtime.progress import Progress, say
from grads.training.checkpoints import note_micro_batch, record_checkpoint
from grads.training.step import Step


class ResponseTrainer(Trainer):
    """Takes the steps of a run: the examples come in the order in which the data set holds them, a global batch a step.

    Args:
        step: makes the gradient of a global batch.
        schedule: steps that the schedule of the rate spans, which may be more than are taken.
        arguments: of transformers' Trainer.
    """

    def __init__(self, *, step: Step, schedule: int, **arguments: Any) -> None:
        super().__init__(data_collator=_as_they_are, **arguments)
        self.step = step
        self.schedule = schedule

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the schedule of the rate, over the whole run where this one stops early."""
        return super().create_scheduler(self.schedule, optimizer)

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        examples: Any = train_dataset if train_dataset is not None else self.train_dataset
        return SequentialSampler(examples)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Add up the gradient of a global batch and return its mean loss; less memory is taken where it runs out.

        Raises:
            RuntimeError: memory ran out, and less cannot be taken.
        """
        model.train()
        pace = self.step.pace
        random = _random_states()
        while True:
            try:
                return self.step.add_gradient(model, inputs["examples"])
            except (RuntimeError, MemoryError) as error:
                number = self.state.global_step + 1
                if not out_of_memory(error) or not pace.lower(number):
                    raise
                say(f"memory ran out in step {number}: going on with {pace.micro_batch} records at a time")
            # What was added up is a part of the step, which begins again, with the same dropout.
            model.zero_grad()
            _restore(*random)
            give_back()
            note_micro_batch(Path(str(self.args.output_dir)), pace.micro_batch)
            self.apply_pace()

    def apply_pace(self) -> None:
        """Switch checkpointing on where the pace asks for it."""
        if self.step.pace.checkpointing:
            unwrap(self.model).gradient_checkpointing_enable({"use_reentrant": False})

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Keep a step's loss in the history.

        Raises:
            GradsError: the loss is no longer a finite number.
        """
        loss = logs.get("loss", 0.0)
        if not math.isfinite(loss):
            raise GradsError(
                f"training diverged at step {self.state.global_step} of {self.state.max_steps} "
                f"(loss {loss}): lower training.learning_rate, or look for broken records"
            )
        super().log(logs, *args, **kwargs)


def _random_states() -> tuple[Tensor, Tensor | None]:
    """Return the states that dropout draws from: the CPU's, and the GPU's where one is used."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if device().type == "cuda" else None


def _restore(cpu: Tensor, gpu: Tensor | None) -> None:
    torch.set_rng_state(cpu)
    if gpu is not None:
        torch.cuda.set_rng_state(gpu)


def _as_they_are(examples: list[Example]) -> dict[str, list[Example]]:
    return {"examples": examples}


@contextmanager
def deterministic() -> Iterator[None]:
    """On a GPU, ask torch for algorithms that give the same each time; it warns of those that it has not.

    A CPU needs no asking. cuBLAS is asked where the process begins (`grads.runtime.process`).
    """
    if device().type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


class Observer(Protocol):
    """Watches a run without changing it: it must leave the model and all random states as they are.

    Attributes:
        key: what its work depends on; a run that is resumed has the same.
    """

    key: Any

    def open(self, scratch: Path, padding: int, visits: list[Example], shaped_by: str) -> None:
        """Start or resume.

        Args:
            scratch: keeps files between attempts.
            padding: the token that fills batches.
            visits: the examples in the order of the run.
            shaped_by: the hash of all that shapes the run and what is seen of it.
        """

    def before_step(self, model: nn.Module, examples: list[Example]) -> None:
        """Look at the model before the optimiser step that these examples lead to."""

    def after_step(self, model: nn.Module, step: int, steps: int, optimizer: Any) -> None:
        """Look at the model, and at what its optimiser remembers, after a step, counted from 1, of so many."""

    def close(self, seconds: float, model: nn.Module, tokens: int) -> None:
        """Keep what was seen; the run took so many seconds, watching included, and its model saw so many tokens."""


class Watch(TrainerCallback):
    """Shows the model to an observer before each optimiser step, with the step's examples, and after it."""

    def __init__(self, visits: list[Example], global_batch: int, observer: Observer) -> None:
        self.visits = visits
        self.global_batch = global_batch
        self.observer = observer

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Show it before the step."""
        start = state.global_step * self.global_batch
        self.observer.before_step(model, self.visits[start : start + self.global_batch])

    def on_step_end(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **kwargs: Any
    ) -> None:
        """Show it after the step, before its checkpoint is written: what a stop repeats is seen again."""
        self.observer.after_step(model, state.global_step, state.max_steps, optimizer)


def _seconds(spent: Path) -> float:
    remedy = f"delete {spent.parent} and run again, from the first step"
    with reading(spent, remedy):
        return float(read_json(spent, remedy))


class ProgressLines(TrainerCallback):
    """Reports optimiser steps as progress lines, and keeps the seconds spent next to each checkpoint.

    Resumed steps do not count for the rate, but their seconds count for the run.
    """

    def __init__(self, label: str, spent: Path) -> None:
        self.label = label
        self.spent = spent
        self.started = time.monotonic()
        self.earlier = _seconds(spent) if spent.is_file() else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of earlier attempts up to their last checkpoint included."""
        return self.earlier + time.monotonic() - self.started

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the seconds that the checkpoint took to reach, and what it consists of."""
        write_json(self.spent, self.seconds)
        checkpoint = self.spent.parent / f"checkpoint-{state.global_step}"
        if checkpoint.is_dir():
            record_checkpoint(checkpoint)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start counting where training starts, or resumes."""
        self.progress = Progress(self.label, state.max_steps - state.global_step, "steps")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count one step."""
        self.progress.advance()
