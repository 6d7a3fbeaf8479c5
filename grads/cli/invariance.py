"""The check of `grads doctor --model`: the probe of a model of one's own, alone and in batches."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from grads.cli.examples import eligible_examples
from grads.cli.shared import Own, open_workbench
from grads.config.section import Precision
from grads.config.training import Adapter
from grads.data.records.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.causal import context_length
from grads.models.cpu.compiled import worth_compiling
from grads.models.load import load_model, load_tokenizer
from grads.probing.invariance import batch_errors
from grads.probing.tolerances import batch_tolerance
from grads.runtime.errors import GradsError
from grads.runtime.files import write_jsonl
from grads.signals.measures.registry import REGISTRY
from grads.signals.names import known_measures

# A handful, of different lengths.
RECORDS = 12
BUILT_IN = [
    {"instruction": f"Say {'so ' * (3 * number)}.", "output": "Yes, " * (number % 4 + 1) + "so."}
    for number in range(1, RECORDS + 1)
]
PLAIN = ["gradients", "mean_abs", "prompt", "unconditional"]
ADAPTED = ["adapter", "mean_abs", "sgd_features"]
# Of the numbers in B, which is 0 in a new adapter, so that A would have no gradient.
SPREAD = 0.01


def model_errors(
    model: str, data: Path | None, precision: Precision, compiled: bool
) -> tuple[dict[str, tuple[float, float]], dict[str, str]]:
    """Return the largest error of each column and vector with its tolerance, and of what none is known, with why.

    Args:
        model: as `--model` of other commands.
        data: records of one's own; built-in ones if not given.
        precision: of the weights.
        compiled: check compiled layers too, where they can be compiled.

    Raises:
        GradsError: model or records cannot be measured.
    """
    with tempfile.TemporaryDirectory(prefix="grads-doctor-") as folder:
        loaded, examples, padding = _opened(model, data, precision, Path(folder))
    tokens = sum(len(example.input_ids) for example in examples)
    choice: Literal["always", "never"] = "always" if compiled else "never"
    compiled = worth_compiling(loaded, tokens, choice)
    known_measures()  # Refuses those of other packages that take another's name.
    declared = [name for name, signal in REGISTRY.all().items() if signal.tolerance is not None]
    errors = batch_errors(loaded, examples, [*PLAIN, *declared], padding, compiled)
    refused = dict[str, str]()
    others = {"all weights": (lambda: loaded, ["weights"]), "an adapter": (lambda: _adapted(loaded), ADAPTED)}
    for whose, (made, measures) in others.items():
        try:
            errors = batch_errors(made(), examples, measures, padding, compiled) | errors
        except GradsError as error:
            refused[whose] = str(error)
    return {name: (error, batch_tolerance(name, precision)) for name, error in errors.items()}, refused


def _opened(
    model: str, data: Path | None, precision: Precision, folder: Path
) -> tuple[nn.Module, Sequence[Example], int]:
    """Return the model, the first records that fit it, and its padding token."""
    if data is None:
        data = folder / "records.jsonl"
        write_jsonl(data, BUILT_IN)
    bench = open_workbench(Own(model=model, data=data, work=folder / "work"), folder / "out")
    loaded = load_model(bench.model, precision)
    padding = load_tokenizer(bench.model).pad_token_id
    most = context_length(loaded.config) or float("inf")
    if examples := [example for example in eligible_examples(bench) if len(example.input_ids) <= most][:RECORDS]:
        return loaded, examples, padding
    raise GradsError(f"--data {data}: no record fits into the model's context of {most} tokens: give shorter ones")


def _adapted(model: nn.Module) -> Any:
    """Return the model with a new adapter, both of whose matrices have gradients."""
    adapted = fresh_adapter(model, Adapter(), 0)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(SPREAD * torch.randn(parameter.shape, generator=generator))
    return adapted
