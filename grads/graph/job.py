"""Jobs of several stages, which do not know each other: training runs that a probe measures, and taught models."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grads.config.kinds import RECORDS
from grads.config.models import Format, Skill
from grads.config.probe import Probe
from grads.config.training import Training
from grads.models.job import PrepareModel
from grads.runtime.runner import Machine
from grads.signals.measures.registry import signal_modules
from grads.study.job import Aside, Given, Made, Read
from grads.training.job import Train

if TYPE_CHECKING:
    from grads.training.trainer import Observer


class PreliminaryEpoch(Train):
    """One epoch on all records, which all arms of a model, domain and seed share.

    Attributes:
        measures: what is measured of its weights afterwards; tried before anything is trained.
        probe: the config's section.
    """

    rule = "train_warm"

    measures: Aside[list[str]] = []
    probe: Aside[Probe] = Probe()

    def run(self, machine: Machine) -> None:
        """Train it, unless what is to be measured afterwards cannot be."""
        if self.measures:
            from grads.probing.run import Task, check_probe

            training = Training.model_validate(self.training)
            task = Task(self.model, self.records, self.form, training, Path(), "warm", self.measures, self.probe)
            check_probe(task)
        super().run(machine)


class GradientsDuring(Train):
    """The preliminary epoch once more, with each record's gradient taken before the step that it leads to.

    Attributes:
        measures: see `grads.signals.names`.
        probe: the keys of the config's `probe` that shape the signals.
        store: the signal store.
    """

    rule = "train_during"
    takes = ("micro_batch", "token_budget")

    measures: list[str]
    probe: dict[str, Any]
    store: Made[Path]

    @property
    def more_modules(self) -> Iterable[str]:
        """The observer's, and those of the signals that are declared."""
        return [*super().more_modules, "grads.probing.during", *signal_modules(self.measures)]

    def observer(self, machine: Machine) -> "Observer":
        """Return what takes the gradients."""
        from grads.probing.during import During

        probe = Probe.model_validate({**self.probe, "token_budget": machine.token_budget})
        return During(self.store, probe, self.measures)


class Trajectory(Train):
    """A run on all records, with the losses of all of them taken at its checkpoints.

    Attributes:
        probe: the keys of the config's `probe` that shape the losses.
        store: the signal store.
    """

    rule = "train_trajectory"
    takes = ("micro_batch", "token_budget")

    probe: dict[str, Any]
    store: Made[Path]

    @property
    def more_modules(self) -> Iterable[str]:
        """The observer's."""
        return [*super().more_modules, "grads.probing.trajectory"]

    def observer(self, machine: Machine) -> "Observer":
        """Return what takes the losses."""
        from grads.probing.trajectory import TrajectoryLosses

        probe = Probe.model_validate({**self.probe, "token_budget": machine.token_budget})
        return TrajectoryLosses(self.store, probe)


class Warmup(Train):
    """A run on a part of the records, with gradients of all of them, and of validation records, at its checkpoints.

    Attributes:
        probe: the keys of the config's `probe` that shape the vectors, and its `warmup`.
        tokens: the signal store `tokens`, which says what records may be drawn.
        validation: validation records.
        store: the signal store of the training records.
        targets: that of the validation records.
    """

    rule = "train_warmup"
    takes = ("micro_batch", "token_budget")

    probe: dict[str, Any]
    tokens: Read[Path]
    validation: Read[Path]
    store: Made[Path]
    targets: Made[Path]

    @property
    def more_modules(self) -> Iterable[str]:
        """The observer's."""
        return [*super().more_modules, "grads.probing.warmup"]

    def observer(self, machine: Machine) -> "Observer":
        """Return what takes the gradients."""
        from grads.probing.warmup import Place, WarmupFeatures

        probe = Probe.model_validate({**self.probe, "token_budget": machine.token_budget})
        training = Training.model_validate(self.training)
        train = Place(self.records, self.store)
        return WarmupFeatures(self.model, self.form, training, probe, train, Place(self.validation, self.targets))

    def run(self, machine: Machine) -> None:
        """Draw the part, and train on it."""
        import tempfile

        import pandas as pd

        from grads.probing.warmup import drawn_share
        from grads.signals.store import read_signals

        ids = read_signals(self.tokens, ["id"])["id"]
        drawn = set(drawn_share(ids.tolist(), Probe.model_validate(self.probe).warmup.share, self.order_seed))
        with tempfile.TemporaryDirectory() as folder:
            selection = Path(folder) / "drawn.parquet"
            pd.DataFrame({"id": ids, "kept": ids.isin(drawn)}).to_parquet(selection, index=False)
            super(Warmup, self.changed(selection=selection)).run(machine)


class TeachModel(PrepareModel):
    """Makes a model ready and teaches it a skill, before anything else of the study sees it.

    Attributes:
        taught: the skill.
        archives: fetched archives that its records may be in, by their keys in the config.
        records: the user's own files of them.
        fetched_records: what was fetched of them from the network.
        form: how records become prompts.
        computing: the keys of the config's `training` that say how it is computed.
        initialisation_seed: seeds dropout, where the model has some.
        order_seed: seeds the order of the records.
        label: how progress lines call it.
        scratch: folder for the model before, and for checkpoints.
    """

    rule = "teach_model"
    modules = ("grads.models.prepare", "grads.training.run", "grads.data.instructions")
    device = True
    takes = ("micro_batch",)

    taught: Skill
    archives: Given[dict[str, Path]] = {}
    records: Given[list[Path]] = []
    fetched_records: Read[list[Path]] = []
    form: Format
    computing: dict[str, Any]
    initialisation_seed: int
    order_seed: int
    label: Aside[str]
    scratch: Aside[Path]

    @property
    def more_modules(self) -> list[str]:
        """Those of the kinds of sources that the model and its skill come from."""
        return [*super().more_modules, RECORDS.module_of(self.taught.source.kind)]

    def run(self, machine: Machine) -> Mapping[str, Any]:
        """Prepare it, train it, and keep what came out.

        Returns:
            How much it was trained, and to which loss.
        """
        from grads.data.instructions import skill_records
        from grads.data.records.record import write_records
        from grads.models.prepare import place_taught, prepare_model
        from grads.runtime.files import atomic_path, read_json, remove
        from grads.training.cell import TrainingCell
        from grads.training.run import train_cells

        plain = self.scratch / "plain"
        cell = TrainingCell(
            label=self.label,
            records=self.scratch / "records.parquet",
            kept=None,
            trained=self.scratch / "trained",
            summary=self.scratch / "training.json",
            scratch=self.scratch / "checkpoints",
            initialisation_seed=self.initialisation_seed,
            order_seed=self.order_seed,
        )
        write_records(cell.records, skill_records(self.taught, self.archives, self.scratch, self.label))
        prepare_model(self.source, self.fetched or self.archive, plain)
        training = self.taught.training(Training.model_validate(self.computing))
        train_cells([cell], plain, self.form, training, machine.micro_batch)
        with atomic_path(self.folder) as folder:
            folder.mkdir()
            place_taught(plain, cell.trained, folder)
        summary = read_json(cell.summary)
        remove(self.scratch)
        return {"taught_records": summary["records"], "steps": summary["steps"], "final_loss": summary["final_loss"]}
