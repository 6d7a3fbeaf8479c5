"""How long the work of a job takes: on a device by its data sheet, or here by what was measured here.

Both take the same counts, those of `grads.graph.work`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from grads.config.study import Study
from grads.data.passes import Passes
from grads.graph.known import size_of
from grads.graph.work import Work
from grads.models.flops import FORWARD
from grads.models.footprint import precision, trained_parameters
from grads.models.hardware import UTILISATION, Device
from grads.models.speed import Pass, answer_seconds, pass_seconds, start_seconds
from grads.signals.columns import needs_gradients

SMALL_JOBS: Mapping[str, float] = {
    "prepare_domains": 0.5,
    "prepare_general": 0.3,
    "prepare_instructions": 0.3,
    "prepare_model": 0.6,
    "overlap": 0.3,
    "probe_tokens": 0.6,
    "probe_shards": 0.3,
    "select": 0.3,
    "metrics": 2.0,
    "metrics_cross": 2.0,
    "measurements": 1.0,
    "tables": 10.0,
    "curves": 3.0,
    "selection_tables": 4.0,
    "pages": 2.0,
}
"""Seconds of jobs of a small study in which no model computes, without their start: measured on one core of an EPYC."""


class Speed(Protocol):
    """Says how long work takes."""

    def seconds(self, rule: str, work: Work) -> float:
        """Return the seconds of a rule's job, its start included; 0 where they are not known."""


@dataclass(frozen=True)
class DeviceSpeed:
    """The speed of a device by its data sheet; only what a model does is known."""

    study: Study
    device: Device

    def seconds(self, rule: str, work: Work) -> float:
        """Return the seconds of a job that a model works in."""
        size = size_of(self.study, work.model) if work.model else None
        if size is None or rule == "prepare_model":
            return 0.0
        computed = precision(work.precision, self.device)
        trained = size.parameters if work.all_weights else trained_parameters(size, self.study.training)

        def passing(kind: Pass, passes: Passes) -> float:
            return pass_seconds(size, passes, kind, self.device, computed=computed, trained=trained)

        measured: Pass = "probe" if needs_gradients(work.measures) else "forward"
        head = FORWARD * size.hidden * size.vocabulary * work.predictions
        context = work.prompting.tokens / max(1, work.prompting.sequences)
        context += work.answering.padded / max(1, work.answering.sequences) / 2
        return (
            start_seconds(size)
            + passing("train", work.training)
            + passing(measured, work.measuring)
            + passing("forward", work.reading)
            + head / (UTILISATION[self.device.kind].forward * self.device.flops)
            + passing("forward", work.scoring)
            + passing("forward", work.prompting)
            + answer_seconds(size, work.answering, context, self.device, computed=computed)
        )


@dataclass(frozen=True)
class Rate:
    """Seconds of a kind of pass: of each batch, and of each of its tokens, padding included."""

    batch: float = 0.0
    token: float = 0.0

    def seconds(self, passes: Passes) -> float:
        """Return the seconds of some passes."""
        return passes.batches * self.batch + passes.padded * self.token


@dataclass(frozen=True)
class ModelSpeed:
    """What was measured of a model on a machine, in seconds.

    Attributes:
        load: until it is read.
        set_up: of a training run, all but its steps, the model's loading included.
        tasks: until the general benchmarks are set up, all together.
        training: micro-batches, with their share of the optimiser.
        measuring: batches of the probe, by the names of what is measured.
        reading: batches of an evaluation without the LM head.
        prediction: the LM head at one token.
        scoring: batches of choices.
        prompting: batches of prompts.
        answering: steps of a batch of answers, by its rows.
    """

    load: float
    set_up: float
    tasks: float
    training: Rate
    reading: Rate
    prediction: float
    scoring: Rate
    prompting: Rate
    answering: Rate
    measuring: Mapping[str, Rate] = field(default_factory=dict)


def parse_speed(stored: Mapping[str, Any]) -> ModelSpeed:
    """Return what was stored of a model, as `dataclasses.asdict` makes it."""
    names = ("training", "reading", "scoring", "prompting", "answering")
    rates = {name: Rate(**stored[name]) for name in names}
    return ModelSpeed(
        load=float(stored["load"]),
        set_up=float(stored["set_up"]),
        tasks=float(stored["tasks"]),
        prediction=float(stored["prediction"]),
        measuring={name: Rate(**rate) for name, rate in stored["measuring"].items()},
        **rates,
    )


@dataclass(frozen=True)
class MachineSpeed:
    """The speed of this machine.

    Attributes:
        start: seconds until a job's process begins its work.
        models: what was measured of each model.
    """

    start: float
    models: Mapping[str, ModelSpeed]

    def seconds(self, rule: str, work: Work) -> float:
        """Return the seconds of a job."""
        if rule in SMALL_JOBS or work.model not in self.models:
            return self.start + SMALL_JOBS.get(rule, 0.0)
        speed = self.models[work.model]
        begun = speed.load * work.loads
        if work.training.batches:
            begun = speed.set_up + speed.load * (work.loads - 1)
        measuring = speed.measuring.get(measured(work.measures), Rate())
        return (
            self.start
            + begun
            + (speed.tasks if work.tasks else 0.0)
            + speed.training.seconds(work.training)
            + measuring.seconds(work.measuring)
            + speed.reading.seconds(work.reading)
            + speed.prediction * work.predictions
            + speed.scoring.seconds(work.scoring)
            + speed.prompting.seconds(work.prompting)
            + speed.answering.seconds(work.answering)
        )


def measured(measures: tuple[str, ...]) -> str:
    """Return the name under which the rate of some measures is kept."""
    return " ".join(measures)
