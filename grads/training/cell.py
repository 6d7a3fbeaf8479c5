"""One training run, described."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grads.config.arms import Match, OwnTraining
from grads.training.strategies.contract import Store
from grads.training.strategies.sft import STRATEGY as SFT
from grads.training.trainer import Observer


@dataclass(frozen=True)
class Base:
    """What an adapter names as the model that it was trained on, for other tools to load: nothing here reads it.

    Attributes:
        name: the hub's id of it, or a path.
        revision: of a model of the hub.
    """

    name: str
    revision: str | None = None


@dataclass(frozen=True)
class TrainingCell:
    """One training run.

    Attributes:
        label: how progress lines and errors call it.
        records: Parquet file with the training records of the domain.
        kept: Parquet file (`id`, `kept`, `weight`) with what to train on; all of `records` when not given.
        trained: folder to write the adapter or weights to.
        summary: JSON file to write counts, seconds and the training curve to.
        scratch: folder for checkpoints.
        initialisation_seed: seeds the adapter's weights and dropout.
        order_seed: seeds the order of the records, and what a strategy draws.
        steps_of_records: see `training_order`.
        epochs: overrides the study's (the preliminary epoch is one).
        start: folder of the adapter or weights to go on from; the prepared model's own weights when not given.
        observer: is shown the model before and after every optimiser step.
        moments: safetensors file to write Adam's moments of the adapter to, for methods that measure by its geometry.
        strategy: name of the training strategy.
        strategy_parameters: those of its parameters that differ from its defaults.
        match: see `matched_order`.
        own: what the cell's arm has of its own, in place of the study's training.
        stores: signal stores by name, at least those that the strategy needs.
        replay: Parquet file of general records, for a strategy that needs some.
        own_answers: folder of the model's own answers, for a strategy that needs them.
        test: Parquet file of test records, for a strategy that reads their prompts.
        base: what an adapter names as its model; the prepared model's folder when not given.
        curves: folder for TensorBoard's event files; none are written when not given.
    """

    label: str
    records: Path
    kept: Path | None
    trained: Path
    summary: Path
    scratch: Path
    initialisation_seed: int
    order_seed: int
    steps_of_records: int | None = None
    epochs: int | None = None
    start: Path | None = None
    observer: Observer | None = None
    moments: Path | None = None
    strategy: str = SFT.name
    strategy_parameters: Mapping[str, Any] = field(default_factory=dict)
    match: Match = "epochs"
    own: OwnTraining = field(default_factory=OwnTraining)
    stores: Mapping[str, Store] = field(default_factory=dict)
    replay: Path | None = None
    own_answers: Path | None = None
    test: Path | None = None
    base: Base | None = None
    curves: Path | None = None
