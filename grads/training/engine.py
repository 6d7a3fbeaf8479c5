"""How the records of an optimiser step go through a model: which share a pass, and what computes it.

Whatever the engine, a step has the same records, and its gradient is that of the mean over all their response tokens.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from grads.config.section import Precision
from grads.data.batches import token_budget_batches
from grads.data.records.formatting import Example
from grads.models.branches import branches, longest_row, row_of, row_states
from grads.models.causal import frozen, hidden_states, pad_right, unwrap
from grads.models.cpu.interface import quick_attention
from grads.models.device import chosen_precision, dtype
from grads.models.low_rank import adapted_layers


class Engine(Protocol):
    """Computes the hidden states that losses are made of.

    Attributes:
        name: as `training.engine` calls it.
        optimiser: transformers' name of AdamW.
        chunk: most logits, predictions x vocabulary, that are held at once.
    """

    name: str
    optimiser: str
    chunk: int | None

    def ready(self, model: nn.Module, examples: Sequence[Example]) -> AbstractContextManager[None]:
        """Make a model ready to be trained; `examples` are some of those to come."""

    def parts(self, examples: Sequence[Example], most: int, longest: int) -> list[list[Example]]:
        """Return the micro-batches of a step.

        Args:
            examples: of the step.
            most: as many records of `longest` tokens fit into one.
            longest: tokens.
        """

    def states(self, model: nn.Module, examples: Sequence[Example], records: Tensor, positions: Tensor) -> Tensor:
        """Return the hidden states of a micro-batch at its P predictions, P x width, with gradient.

        Args:
            model: the one that is ready.
            examples: of the micro-batch.
            records: P, rising; the example that each prediction is of.
            positions: P; the last position that it sees.
        """

    def notes(self) -> dict[str, Any]:
        """Return what a run's summary says of the engine."""


def padded_states(model: nn.Module, examples: Sequence[Example], records: Tensor, positions: Tensor) -> Tensor:
    """Return hidden states by one pass over a batch that is padded on the right; see `Engine.states`."""
    place = unwrap(model).get_input_embeddings().weight.device
    ids = pad_right([example.input_ids for example in examples], padding=0)
    return hidden_states(model, input_ids=ids.to(place))[records.to(place), positions.to(place)]


@contextmanager
def computing(model: nn.Module, precision: Precision) -> Iterator[None]:
    """Compute products in a precision; bf16 is by autocast."""
    kind = unwrap(model).get_input_embeddings().weight.device.type
    with torch.autocast(kind, dtype(precision), enabled=chosen_precision(precision) != "float32"):
        yield


@dataclass
class ReferenceEngine:
    """transformers' and PEFT's own modules on padded batches of so many records, in their order.

    What tests and benchmarks hold the other one to.
    """

    name: str = "reference"
    optimiser: str = "adamw_torch"
    chunk: int | None = None

    def ready(self, model: nn.Module, examples: Sequence[Example]) -> AbstractContextManager[None]:
        """Leave the model as it is."""
        return nullcontext()

    def parts(self, examples: Sequence[Example], most: int, longest: int) -> list[list[Example]]:
        """Return runs of `most` examples."""
        return _runs(examples, most)

    def states(self, model: nn.Module, examples: Sequence[Example], records: Tensor, positions: Tensor) -> Tensor:
        """Return hidden states; see `Engine`."""
        return padded_states(model, examples, records, positions)

    def notes(self) -> dict[str, Any]:
        """Return its name."""
        return {"engine": self.name}


@dataclass
class FastEngine:
    """Rows without padding on a CPU, batches sorted by length elsewhere; adapters in one operation; our attention.

    On a CPU the records of a micro-batch are joined into one row, in which a beginning that several share, such as a
    chat template's, is computed once (see `grads.models.branches`). Records beyond a layer's window, and models that
    attend by code of their own, are padded. Under dropout batches are those of the reference, whose random numbers
    follow the batches: so both engines draw the same.
    """

    name: str = "fast"
    optimiser: str = "adamw_torch_fused"
    # 128 MiB of float32.
    chunk: int | None = 2**25
    rows: bool = False
    dropout: bool = False
    longest: int = 0

    @contextmanager
    def ready(self, model: nn.Module, examples: Sequence[Example]) -> Iterator[None]:
        """Put our attention and adapters in, and see whether the model computes rows as it should."""
        with ExitStack() as stack:
            stack.enter_context(adapted_layers(model))
            stack.enter_context(quick_attention(unwrap(model)))
            self.dropout = has_dropout(model)
            self.longest = longest_row(model)
            with frozen(model):
                self.rows = not self.dropout and branches(model, [example.input_ids for example in examples[:3]])
            yield

    def parts(self, examples: Sequence[Example], most: int, longest: int) -> list[list[Example]]:
        """Return micro-batches of at most so many tokens, or of one record; under dropout the reference's."""
        if self.dropout:
            return _runs(examples, most)
        budget = most * longest
        joined = [example for example in examples if self._joins(example)]
        padded = [example for example in examples if not self._joins(example)]
        batches = token_budget_batches([len(example.input_ids) for example in padded], budget, tight=True)
        return [*_filled(joined, budget), *([padded[index] for index in batch] for batch in batches)]

    def states(self, model: nn.Module, examples: Sequence[Example], records: Tensor, positions: Tensor) -> Tensor:
        """Return hidden states; see `Engine`."""
        if not self._joins(examples[0]):
            return padded_states(model, examples, records, positions)
        # Nothing is predicted from a record's last token.
        row = row_of([example.input_ids[:-1] for example in examples])
        starts = torch.tensor([0, *map(len, row.places)]).cumsum(0)
        places = torch.cat(row.places)[starts[records] + positions]
        return row_states(model, row)[places]

    def notes(self) -> dict[str, Any]:
        """Return its name and what became of batches."""
        return {"engine": self.name, "rows": self.rows}

    def _joins(self, example: Example) -> bool:
        return self.rows and 1 < len(example.input_ids) <= self.longest


def has_dropout(model: nn.Module) -> bool:
    """Return whether anything in a model is dropped at random in training, by an adapter or by the model itself."""
    if any(module.p > 0 for module in model.modules() if isinstance(module, nn.Dropout)):
        return True
    values = unwrap(model).config.get_text_config().to_dict()
    return any(isinstance(value, float) and value > 0 for name, value in values.items() if "drop" in name)


def _runs(examples: Sequence[Example], most: int) -> list[list[Example]]:
    return [list(examples[start : start + most]) for start in range(0, len(examples), most)]


def _filled(examples: Sequence[Example], budget: int) -> list[list[Example]]:
    """Return runs of examples that have at most so many tokens together, or one example."""
    parts: list[list[Example]] = []
    tokens = 0
    for example in examples:
        tokens += len(example.input_ids)
        if not parts or tokens > budget:
            parts.append([])
            tokens = len(example.input_ids)
        parts[-1].append(example)
    return parts


ENGINES: dict[str, type[ReferenceEngine] | type[FastEngine]] = {one.name: one for one in (ReferenceEngine, FastEngine)}
