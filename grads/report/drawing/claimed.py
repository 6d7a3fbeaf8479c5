"""The measures that figures of one metric show: those that the study's claims are about."""

from dataclasses import dataclass

from grads.config.study import Study
from grads.report.building.judging import quantities_of
from grads.report.metrics import MEASURES
from grads.report.statistics.estimates import Estimates, Quantity, Run, untuned_run
from grads.report.statistics.samples import Sample, average, difference, scaled
from grads.study.claim_sentences import BEATS, DRIFT, FORGETS, GENERAL, in_study, read_claims

_NATS = "nats per token"
_DRIFTS = {"kl": ("KL(untuned || tuned)", _NATS), "nll": ("NLL", _NATS)}
"""Title and unit of the drift on general text; others are their own unit."""


@dataclass(frozen=True)
class Measure:
    """What a claim is about.

    Attributes:
        name: as the claim names it.
        title: as a reader knows it.
        unit: in which it is shown; empty where it has none.
        quantities: what was measured; it is the mean of several.
        factor: from the measured unit to the one that is shown.
        higher_is_better: direction.
    """

    name: str
    title: str
    unit: str
    quantities: list[Quantity]
    factor: float
    higher_is_better: bool


@dataclass(frozen=True)
class Axis:
    """A measure along an axis.

    Attributes:
        measure: the measure.
        label: name of the axis: what it shows, its unit, and which direction is better.
        base: the run whose value is subtracted; none where the measure stands as it is.
        sign: -1 where the axis shows less as more, such as accuracy lost.
    """

    measure: Measure
    label: str
    base: Run | None = None
    sign: float = 1.0

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better on the axis."""
        return self.measure.higher_is_better == (self.sign > 0)

    def sample(self, estimates: Estimates, place: tuple[str, str], run: Run) -> Sample | None:
        """Return where a run on a place (model and domain) stands; none where a partial study does not know it yet.

        Raises:
            GradsError: a measurement is missing, or two runs were not measured alike.
        """
        parts: list[Sample] = []
        for quantity in self.measure.quantities:
            if self.base is None:
                sample = estimates.sample(*place, run, quantity)
            else:
                pair = estimates.pair(*place, run, self.base, quantity)
                sample = None if pair is None else difference(*pair)
            if sample is None:
                return None
            parts.append(sample)
        return scaled(average(parts), self.sign * self.measure.factor)


def axis_label(title: str, unit: str, higher_is_better: bool) -> str:
    """Return the name of an axis, such as `NLL, nats per token (lower is better)`."""
    named = f"{title}, {unit}" if unit else title
    return f"{named} ({'higher' if higher_is_better else 'lower'} is better)"


def metric_label(metric: str) -> str:
    """Return the name of an axis that shows a domain metric."""
    measure = metric_measure(metric)
    return axis_label(measure.title, measure.unit, measure.higher_is_better)


def metric_measure(name: str) -> Measure:
    """Return a domain metric as a measure."""
    metric = MEASURES[name]
    unit = _NATS if name == "response_nll" else ""
    return Measure(name, metric.title, unit, [Quantity.domain(name)], 1.0, metric.higher_is_better)


def learnt(study: Study) -> Measure:
    """Return the domain metric for what was learnt, in figures that show a single metric.

    It is that of the first claim of the study that an arm beats another on a domain metric; without such a claim the
    first of `evaluation.metrics`.
    """
    metrics = study.evaluation.metrics
    claimed = [name for name in _claimed(study, BEATS) if name in metrics and name not in study.general.tasks]
    return metric_measure([*claimed, metrics[0]][0])


def forgotten(study: Study) -> Measure:
    """Return the measure by which they show what was forgotten.

    It is that of the first claim of the study that an arm forgets less than another; without such a claim the drift on
    general text, KL(untuned || tuned).
    """
    name = [*_claimed(study, FORGETS), "kl"][0]
    quantities = quantities_of(study, name)
    if name in DRIFT:
        drift, unit = _DRIFTS.get(name, (name.replace("_", " "), ""))
        return Measure(name, f"{drift} on general text", unit, quantities, 1.0, False)
    title = "mean accuracy" if name == GENERAL else f"accuracy on {study.general.tasks[name].title}"
    return Measure(name, title, "points", quantities, 100.0, True)


def gain_axis(study: Study) -> Axis:
    """Return the axis of what was learnt: the gain over the untuned model, or the metric where a study has none."""
    measure = learnt(study)
    untuned = untuned_run(study)
    if untuned is None:
        return Axis(measure, metric_label(measure.name))
    label = axis_label(f"{measure.title} gain over untuned", measure.unit, True)
    return Axis(measure, label, untuned, 1.0 if measure.higher_is_better else -1.0)


def forgetting_axis(study: Study) -> Axis:
    """Return the axis of what was forgotten: the loss against the untuned model, or the measure where a study has none.

    KL is a distance from the untuned model as it stands.
    """
    measure = forgotten(study)
    untuned = untuned_run(study)
    if untuned is None or measure.name == "kl":
        return Axis(measure, axis_label(measure.title, measure.unit, measure.higher_is_better))
    title = f"{measure.title} lost" if measure.higher_is_better else f"{measure.title}, more than untuned"
    label = axis_label(title, measure.unit, False)
    return Axis(measure, label, untuned, -1.0 if measure.higher_is_better else 1.0)


def _claimed(study: Study, verb: str) -> list[str]:
    """Return the measures of the claims with a verb that the study can decide, in their order."""
    claims = read_claims(study) if study.claims else []
    return [claim.measure for claim in claims if claim.verb == verb and in_study(study, claim)]
