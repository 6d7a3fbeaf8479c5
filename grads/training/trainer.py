"""transformers' Trainer with the loss of this project and with divergence as an error."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback

from grads.config.section import Precision
from grads.data.records.formatting import Example
from grads.models.causal import pad_right, predicted_logits
from grads.models.device import chosen_precision, device
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, reading, write_json
from grads.runtime.progress import Progress
from grads.training.checkpoints import record_checkpoint
from grads.training.strategies.contract import Batch

IGNORED = -100


def collate(examples: list[Example], padding: int) -> dict[str, Tensor]:
    """Return `input_ids` and `labels`, batch x tokens, padded on the right; only response tokens have labels."""
    input_ids = pad_right([e.input_ids for e in examples], padding)
    labels = torch.full_like(input_ids, IGNORED)
    for row, example in enumerate(examples):
        labels[row, example.response_positions] = input_ids[row, example.response_positions]
    return {"input_ids": input_ids, "labels": labels}


class Collator:
    """Makes batches of examples whose response tokens may count more or less in the loss.

    A token of weight 0 has no label. Where all other weights are 1, labels say everything; otherwise each batch has
    `weights` too, batch x tokens in float32, 0 where there is no label.

    Args:
        padding: any token id, to fill the batches.
        weights: by id, those of an example's `response_positions`; all are 1 for an example that is not named.
    """

    def __init__(self, padding: int, weights: Mapping[str, Sequence[float]]) -> None:
        self.padding = padding
        self.weights = weights
        self.weighted = any(value not in (0, 1) for values in weights.values() for value in values)

    def __call__(self, examples: list[Example]) -> dict[str, Tensor]:
        """Return one batch."""
        batch = collate(examples, self.padding)
        counts = (batch["labels"] != IGNORED).float()
        for row, example in enumerate(examples):
            if example.id in self.weights:
                counts[row, example.response_positions] = torch.tensor(self.weights[example.id], dtype=torch.float32)
        batch["labels"][counts == 0] = IGNORED
        return batch | {"weights": counts} if self.weighted else batch


class ResponseTrainer(Trainer):
    """Trains on the mean loss over all response tokens of a global batch, weighted if weights come.

    The loss of a token is its negative log-likelihood, unless another is given. Logits are made at response positions
    only, in float32; the mean is over the whole global batch, so it does not depend on the micro-batch. The examples
    come in the order in which the data set holds them.
    """

    # The loss below is divided by the tokens of all accumulated micro-batches already.
    loss_is_scaled_for_ga = True
    own_loss: Callable[[Batch], Tensor] | None = None

    def __init__(
        self, *args: Any, precision: Precision, own_loss: Callable[[Batch], Tensor] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.precision = chosen_precision(precision)
        self.own_loss = own_loss
        self.model_accepts_loss_kwargs = True

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        examples: Any = train_dataset if train_dataset is not None else self.train_dataset
        return SequentialSampler(examples)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the summed loss of a micro-batch's response tokens over the response tokens of the global batch.

        With weights it is the weighted sum over the sum of the global batch's weights.
        """
        labels = inputs["labels"][:, 1:]
        wanted = labels != IGNORED
        labels = labels[wanted]
        records, positions = wanted.nonzero(as_tuple=True)
        logits = predicted_logits(model, inputs["input_ids"], records, positions, self.precision)
        if self.own_loss is None and "weights" not in inputs:
            return functional.cross_entropy(logits, labels, reduction="sum") / num_items_in_batch
        ones = torch.ones(labels.shape, device=labels.device)
        weights = inputs["weights"][:, 1:][wanted] if "weights" in inputs else ones
        if self.own_loss is None:
            losses = functional.cross_entropy(logits, labels, reduction="none")
        else:
            losses = self.own_loss(Batch(inputs["input_ids"], records, positions, labels, weights, logits))
        return (losses * weights).sum() / num_items_in_batch

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Tensor]], device: torch.device) -> Any:
        """Return what a global batch's sum is divided by: its response tokens, or their weights together."""
        if batch_samples and "weights" in batch_samples[0]:
            return sum(batch["weights"][:, 1:].sum() for batch in batch_samples).to(device)  # type: ignore[union-attr]
        return super()._get_num_items_in_batch(batch_samples, device)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Run one micro-batch.

        Raises:
            GradsError: the loss is no longer a finite number.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise GradsError(
                f"training diverged at step {self.state.global_step + 1} of {self.state.max_steps} "
                f"(loss {loss.item()}): lower training.learning_rate, or look for broken records"
            )
        return loss


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

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """Look at the model after an optimiser step, counted from 1, of so many."""

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

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Show it after the step, before its checkpoint is written: what a stop repeats is seen again."""
        self.observer.after_step(model, state.global_step, state.max_steps)


def _seconds(spent: Path) -> float:
    remedy = f"delete {spent.parent} and run again, from the first step"
    with reading(spent, remedy):
        return float(read_json(spent, remedy))


class ProgressLines(TrainerCallback):
    """Reports optimiser steps as progress lines, and keeps the seconds spent beside each checkpoint.

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
