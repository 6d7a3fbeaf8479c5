"""The job that fine-tunes a model."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from grads.config.arms import Match, OwnTraining
from grads.config.models import Format
from grads.config.training import Training
from grads.runtime.runner import Machine
from grads.study.job import Aside, Job, Made, Read
from grads.training.strategies.registry import find_strategy, module_of, parse_parameters
from grads.training.strategies.sft import STRATEGY as SFT

if TYPE_CHECKING:
    from grads.training.trainer import Observer


class Train(Job):
    """Fine-tunes a model on the records that a selection keeps, or on all.

    Attributes:
        model: the prepared model.
        records: training records.
        selection: Parquet file of what to train on; all of `records` if there is none.
        counts: JSON file next to it.
        start: adapter or weights to go on from, where they are not the model's own.
        stores: signal stores that the strategy needs, by name.
        replay: general records that it mixes in.
        own_answers: folder of the model's own answers to the records.
        run_trained: adapter or weights of the run that the strategy scales, where it trains nothing.
        run_summary: that run's JSON file.
        test: test records, of which it reads the prompts.
        strategy: name of the training strategy.
        strategy_parameters: those that differ from its defaults.
        match: see `matched_order`.
        training: the config's section.
        own: what the arm's training has of its own, as its config says.
        epochs: where they are not those of `training`.
        equal_steps: train on all records, for as many steps as those that the selection was asked for would take.
        form: how records become prompts.
        base: what the adapter names as its model: `name`, and of the hub's the `revision`.
        initialisation_seed: seeds the adapter's weights and dropout.
        order_seed: seeds the order of the records, and what a strategy draws.
        label: how progress lines call it.
        scratch: folder for checkpoints.
        curves: folder for TensorBoard's event files, where somebody asked for them.
        trained: folder of the adapter or weights.
        summary: JSON file of counts, seconds and the training curve.
    """

    rule = "train"
    modules = ("grads.training.run",)
    device = True
    takes: ClassVar[tuple[str, ...]] = ("micro_batch",)

    model: Read[Path]
    records: Read[Path]
    selection: Read[Path | None] = None
    counts: Read[Path | None] = None
    start: Read[Path | None] = None
    stores: Read[dict[str, Path]] = {}
    replay: Read[Path | None] = None
    own_answers: Read[Path | None] = None
    run_trained: Read[Path | None] = None
    run_summary: Read[Path | None] = None
    test: Read[Path | None] = None
    strategy: str = SFT.name
    strategy_parameters: dict[str, Any] = {}
    match: Match = "epochs"
    training: dict[str, Any]
    own: dict[str, Any] = {}
    epochs: int | None = None
    equal_steps: bool = False
    form: Format
    base: dict[str, str | None]
    initialisation_seed: int
    order_seed: int
    label: Aside[str]
    scratch: Aside[Path]
    curves: Aside[Path | None] = None
    trained: Made[Path]
    summary: Made[Path]
    moments: Made[Path | None] = None

    @property
    def more_modules(self) -> Iterable[str]:
        """The strategy's; plain training is a part of every run."""
        own = [] if self.strategy == SFT.name else [module_of(self.strategy)]
        return own if self.run_trained is None else [*own, "grads.training.scaled"]

    @property
    def needs_device(self) -> bool:
        """Whether a GPU computes: not where another run's adapter is scaled, for which no model is loaded."""
        return self.device and (self.run_trained is None or self.training["weights"] == "full")

    def observer(self, machine: Machine) -> "Observer | None":
        """Return what watches the run; nothing watches this one."""
        return None

    def run(self, machine: Machine) -> None:
        """Train it, or scale what another run made."""
        if self.run_trained is not None and self.run_summary is not None:
            self._scale(self.run_trained, self.run_summary)
            return
        from grads.data.selections import read_counts
        from grads.signals.store import read_store
        from grads.training.cell import Base, TrainingCell
        from grads.training.run import train_cells

        cell = TrainingCell(
            label=self.label,
            records=self.records,
            kept=self.selection,
            trained=self.trained,
            summary=self.summary,
            scratch=self.scratch,
            initialisation_seed=self.initialisation_seed,
            order_seed=self.order_seed,
            steps_of_records=read_counts(self.counts)["requested"] if self.equal_steps and self.counts else None,
            epochs=self.epochs,
            start=self.start,
            observer=self.observer(machine),
            moments=self.moments,
            strategy=self.strategy,
            strategy_parameters=self.strategy_parameters,
            match=self.match,
            own=OwnTraining.model_validate(self.own),
            stores={name: read_store(path) for name, path in self.stores.items()},
            replay=self.replay,
            own_answers=self.own_answers,
            test=self.test,
            base=Base(str(self.base["name"]), self.base.get("revision")),
            curves=self.curves,
        )
        train_cells([cell], self.model, self.form, Training.model_validate(self.training), machine.micro_batch)

    def _scale(self, trained: Path, summary: Path) -> None:
        from grads.training.scaled import Scaling, scale_run

        strategy = find_strategy(self.strategy)
        parameters = parse_parameters(strategy, self.strategy_parameters)
        arm = strategy.needs(parameters).run
        assert strategy.scale is not None
        assert arm is not None
        scaling = Scaling(self.label, arm, trained, summary, strategy.scale(parameters), strategy.name)
        scale_run(scaling, self.model, self.trained, self.summary)
