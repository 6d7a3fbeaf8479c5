"""The gradient of one optimiser step: of the mean loss over all response tokens of a global batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from grads.config.section import Precision
from grads.data.records.formatting import Example
from grads.models.causal import head_logits, pad_right, unwrap
from grads.training.engine import Engine, computing
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


@dataclass
class Pace:
    """How many records a micro-batch has, which memory may lower while a run goes on.

    Attributes:
        micro_batch: as many records of `longest` tokens fit into one.
        longest: tokens.
        checkpointing: whether a layer's activations are computed again in the backward pass instead of held.
        may_checkpoint: whether that is begun where memory runs out in a micro-batch of one record.
        deviations: what was lowered, and at which step, counted from 1.
    """

    micro_batch: int
    longest: int
    checkpointing: bool = False
    may_checkpoint: bool = False
    deviations: list[dict[str, int | bool]] = field(default_factory=list)

    def lower(self, step: int) -> bool:
        """Take less memory from a step on; return whether there was anything to lower."""
        if self.micro_batch > 1:
            self.micro_batch = max(1, self.micro_batch // 2)
        elif self.may_checkpoint and not self.checkpointing:
            self.checkpointing = True
        else:
            return False
        self.deviations.append({"step": step, "micro_batch": self.micro_batch, "checkpointing": self.checkpointing})
        return True


@dataclass
class Step:
    """Adds up the gradient of a global batch, which does not depend on the micro-batches that it is made in.

    The loss of a token is its negative log-likelihood, unless another is given. Logits are made at response positions
    only, in float32; the mean is over all response tokens of the global batch, by their weights.

    Attributes:
        engine: what computes hidden states, and cuts a global batch into micro-batches.
        precision: of the products.
        collator: of micro-batches.
        pace: how large they are.
        own_loss: the loss of each prediction, in place of plain training's.
    """

    engine: Engine
    precision: Precision
    collator: Collator
    pace: Pace
    own_loss: Callable[[Batch], Tensor] | None = None

    def add_gradient(self, model: nn.Module, examples: Sequence[Example]) -> Tensor:
        """Add the gradient of the mean loss to what the weights hold, and return that loss, a scalar."""
        parts = self.engine.parts(examples, self.pace.micro_batch, self.pace.longest)
        batches = [self.collator(part) for part in parts]
        total = sum(float(weights_of(batch)[:, 1:].sum()) for batch in batches)
        losses = [self._add(model, part, batch, total) for part, batch in zip(parts, batches, strict=True)]
        return torch.stack(losses).sum()

    def _add(self, model: nn.Module, part: list[Example], batch: dict[str, Tensor], total: float) -> Tensor:
        """Add the gradient of a micro-batch's summed loss over `total`, and return that loss."""
        wanted = batch["labels"][:, 1:] != IGNORED
        records, positions = wanted.nonzero(as_tuple=True)
        with computing(model, self.precision):
            states = self.engine.states(model, part, records, positions)
        place = states.device
        # The head's part of the backward pass is made first, a slice at a time, so that few logits are held at once.
        leaf = states.detach().requires_grad_()
        labels = batch["labels"][:, 1:][wanted].to(place)
        weights = weights_of(batch)[:, 1:][wanted].to(place)
        loss = torch.zeros((), device=place)
        for rows in self._slices(model, len(leaf)):
            with computing(model, self.precision):
                logits = head_logits(model, leaf[rows])
            if self.own_loss is None:
                each = functional.cross_entropy(logits, labels[rows], reduction="none")
            else:
                ids = batch["input_ids"].to(place)
                each = self.own_loss(Batch(ids, records.to(place), positions.to(place), labels, weights, logits))
            summed = (each * weights[rows]).sum() / total
            summed.backward()
            loss += summed.detach()
        states.backward(leaf.grad)
        return loss

    def _slices(self, model: nn.Module, predictions: int) -> list[slice]:
        """Return predictions whose logits are made together; a loss of its own sees all of a micro-batch."""
        if self.own_loss is not None or self.engine.chunk is None:
            return [slice(0, predictions)]
        rows = max(1, self.engine.chunk // len(unwrap(model).get_output_embeddings().weight))
        return [slice(start, start + rows) for start in range(0, predictions, rows)]


def weights_of(batch: Mapping[str, Tensor]) -> Tensor:
    """Return how much each token of a batch counts, batch x tokens: 0 where there is no label."""
    return batch["weights"] if "weights" in batch else (batch["labels"] != IGNORED).float()
