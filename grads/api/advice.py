"""What finished studies say of forgetting: which of their runs kept it below a bound, on the same model and domain.

A run is an arm at a ratio, over its seeds. What it forgot is its difference to the untuned model, by the statistics of
the tables: items and seeds crossed, paired with the untuned model's answers. The runs of a model and domain are looked
at together, so that each interval is at 5 % divided by their number; below three seeds there is no verdict.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from grads.config.domains import Domain
from grads.config.general import General, Task
from grads.config.models import Model
from grads.config.sources import Source
from grads.config.study import Study
from grads.config.training import Training, departures
from grads.report.measurements import read_measurements
from grads.report.metrics import MEASURES
from grads.report.statistics.comparisons import SIGNIFICANCE
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate, runs, untuned_run
from grads.report.statistics.means import Place as ModelOnDomain
from grads.report.statistics.means import mean_difference
from grads.report.statistics.samples import ABSENT, Estimate, scaled
from grads.runtime.errors import GradsError, nearest
from grads.runtime.fingerprints import OUTSIDE, Fingerprints
from grads.runtime.manifest import manifest_of, verified
from grads.study.claim_sentences import DRIFT, GENERAL
from grads.study.contents import source_files
from grads.study.reading import parse_study
from grads.training.needs import arm_strategy, arm_training
from grads.training.strategies.replay import Replay

MEASUREMENTS = "measurements.parquet"
BOUND = 1.0
"""Points of accuracy that may be lost, if nothing else is said."""
BELOW = "below"
ABOVE = "above"
UNDECIDED = "undecided"
ITEMS_ONLY = "items only"
NOT_MEASURED = "not measured"
UNITS = {"nll": "nats a token", "kl": "nats a token", "bits_per_byte": "bits a byte"}


@dataclass(frozen=True)
class Question:
    """What is asked: of how much a run may lose of what.

    Attributes:
        study: the config of the study that is planned.
        measure: as claims call it: `general`, a general task, or a drift.
        bound: the most that may be lost: points of accuracy, or the drift's own unit.
    """

    study: Study
    measure: str
    bound: float

    @property
    def is_drift(self) -> bool:
        """Whether it is measured on general text, where more is worse."""
        return self.measure in DRIFT

    @property
    def tasks(self) -> dict[str, Task]:
        """The benchmarks that it is about."""
        tasks = self.study.general.tasks
        if self.is_drift:
            return {}
        return tasks if self.measure == GENERAL else {self.measure: tasks[self.measure]}

    @property
    def unit(self) -> str:
        """The unit of the bound."""
        return UNITS.get(self.measure, "points")


@dataclass(frozen=True)
class Finished:
    """A finished study.

    Attributes:
        folder: of its results.
        study: its config, as the manifest of its measurements has it.
        estimates: of its measurements.
    """

    folder: Path
    study: Study
    estimates: Estimates


@dataclass(frozen=True)
class Interval:
    """A difference to the untuned model: its value and bounds, NaN where they are unknown."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Tried:
    """A run of a finished study, and what it forgot and learnt.

    Attributes:
        folder: of the study's results.
        study: its name.
        run: as its tables call it.
        keeps: the ratio.
        mix: records of the domain to general records, where some were replayed.
        rate: peak learning rate.
        strategy: how it was trained, where neither plainly nor with replay.
        records: that were trained on, mean over seeds.
        seeds: how many there are.
        forgotten: lost against the untuned model, at the level of all runs together.
        learnt: gained against it on the domain's first metric, at 95 %.
        verdict: BELOW, ABOVE or UNDECIDED; ITEMS_ONLY below three seeds, NOT_MEASURED without an interval.
        otherwise: where its training departs from that of the planned study.
    """

    folder: str
    study: str
    run: str
    keeps: str
    mix: str
    rate: float
    strategy: str
    records: float
    seeds: int
    forgotten: Interval
    learnt: Interval
    verdict: str
    otherwise: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A model and a domain of the planned study, and what was tried on them.

    Attributes:
        model: title.
        domain: title.
        metric: title of the domain's first metric.
        runs: in the order of their studies.
    """

    model: str
    domain: str
    metric: str
    runs: Sequence[Tried]

    @property
    def below(self) -> list[Tried]:
        """The runs that kept forgetting below the bound, those that learnt most first."""
        found = [one for one in self.runs if one.verdict == BELOW]
        return sorted(found, key=lambda one: -math.inf if math.isnan(one.learnt.value) else one.learnt.value)[::-1]


@dataclass(frozen=True)
class Advice:
    """What is known.

    Attributes:
        measure: what was asked for.
        bound: the most that may be lost.
        unit: of the bound.
        places: by model and domain of the planned study.
        passed_over: studies that say nothing of it, each with the reason.
    """

    measure: str
    bound: float
    unit: str
    places: Sequence[Place]
    passed_over: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it, None for what is no number."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def advise(study: Study, folders: Sequence[Path], measure: str | None = None, bound: float | None = None) -> Advice:
    """Return what finished studies say of forgetting on the models and domains of a study.

    Args:
        study: the study that is planned.
        folders: of studies' results, or of several such folders.
        measure: `general`, a general task of the study, `kl`, `nll` or `bits_per_byte`; `general` if not given, `kl`
            where the study has no benchmarks.
        bound: the most that a run may lose; one point of accuracy if not given.

    Raises:
        GradsError: there is no such measure or folder, or a drift has no bound.
    """
    question = _question(study, measure, bound)
    passed_over: dict[Path, str] = {}
    finished = []
    for folder in _study_folders(folders):
        try:
            finished.append(_read(folder))
        except GradsError as error:
            passed_over[folder] = str(error)
    places = []
    for model, domain in itertools.product(study.models.values(), study.domains.values()):
        tried: list[_Measured] = []
        for one in finished:
            try:
                tried += _of_a_study(question, one, model, domain)
            except GradsError as error:
                passed_over[one.folder] = str(error)
        places.append(Place(model.title, domain.title, _metric(study), _judged(question, tried)))
    used = {run.folder for place in places for run in place.runs}
    of_no_help = {str(folder): reason for folder, reason in passed_over.items() if str(folder) not in used}
    return Advice(question.measure, question.bound, question.unit, places, of_no_help)


def _question(study: Study, measure: str | None, bound: float | None) -> Question:
    tasks = study.general.tasks
    measure = measure or (GENERAL if tasks else "kl")
    known = [*([GENERAL] if tasks else []), *tasks, *DRIFT]
    if measure not in known:
        raise GradsError(f"--measure {measure}: {nearest(measure, known)}")
    if bound is None and measure in DRIFT:
        raise GradsError(f"--bound: {measure} has no usual one: say how much is too much, in {UNITS[measure]}")
    bound = BOUND if bound is None else bound
    if not (math.isfinite(bound) and bound > 0):
        raise GradsError(f"--bound {bound:g}: give a number above 0")
    return Question(study, measure, bound)


def _metric(study: Study) -> str:
    return MEASURES[study.evaluation.metrics[0]].title


# Finished studies.


def _study_folders(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders of studies' results, finished or not: the given ones, or those in them.

    Raises:
        GradsError: a folder is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise GradsError(f"--results {folder} is not there: name the folder of a study's results, or of several")
        for one in [folder] if (folder / MEASUREMENTS).is_file() else sorted(folder.iterdir()):
            if (one / MEASUREMENTS).is_file() or (one / "runs").is_dir():
                yield one


def _read(folder: Path) -> Finished:
    """Return a finished study.

    Raises:
        GradsError: it is not finished, its measurements are damaged or have no manifest, or this version does not read
            its config.
    """
    file = folder / MEASUREMENTS
    if not file.is_file():
        raise GradsError(f"it is not finished: it has no {MEASUREMENTS}")
    manifest = manifest_of(file)
    if manifest is None or "study" not in manifest.content["settings"]:
        raise GradsError("no manifest next to its measurements says which config they are of")
    verified(file)
    study = parse_study(json.loads(manifest.content["settings"]["study"]), where=str(manifest.path))
    return Finished(folder, study, Estimates(read_measurements(file), partial=True))


# Of the same kind.


@dataclass(frozen=True)
class _Measured:
    """A run of a finished study before it is judged."""

    finished: Finished
    run: Run
    forgotten: Estimate
    learnt: Estimate
    records: float
    otherwise: Mapping[str, str]
    training: Training


def _of_a_study(question: Question, finished: Finished, model: Model, domain: Domain) -> list[_Measured]:
    """Return the runs of a study on a model and domain of the planned one.

    Raises:
        GradsError: there are none, or two were not measured alike.
    """
    study = finished.study
    untuned = untuned_run(study)
    if untuned is None:
        raise GradsError("it has no untuned model to compare with")
    quantities = _quantities(question, study)
    models = [key for key, one in study.models.items() if _same_model(question.study, model, finished, key, one)]
    if not models:
        raise GradsError(f"it has other models ({', '.join(one.title for one in study.models.values())})")
    domains = [key for key, one in study.domains.items() if _same_domain(question.study, domain, finished, key, one)]
    if not domains:
        raise GradsError(f"it has other domains ({', '.join(one.title for one in study.domains.values())})")
    tried = [run for run in runs(study) if run.ranked]
    if not tried:
        raise GradsError("it has no arm that is trained")
    return [
        _measured(question, finished, place, run, untuned, quantities)
        for place in itertools.product(models, domains)
        for run in tried
    ]


def _measured(
    question: Question, finished: Finished, place: ModelOnDomain, run: Run, untuned: Run, quantities: Sequence[Quantity]
) -> _Measured:
    estimates = finished.estimates
    changed = mean_difference(estimates, [place], run, untuned, quantities)
    training = arm_training(finished.study, run.arm)
    return _Measured(
        finished=finished,
        run=run,
        forgotten=estimate(changed and scaled(changed, 1.0 if question.is_drift else -100.0)),
        learnt=_learnt(question, finished, place, run, untuned),
        records=estimates.of(*place, run, Quantity("cost", "training", "records")).value,
        otherwise=departures(question.study.training, training),
        training=training,
    )


def _learnt(question: Question, finished: Finished, place: ModelOnDomain, run: Run, untuned: Run) -> Estimate:
    """Return what a run gained on the planned study's first metric; absent where its own study does not measure it."""
    metric = question.study.evaluation.metrics[0]
    if metric not in finished.study.evaluation.metrics:
        return ABSENT
    changed = mean_difference(finished.estimates, [place], run, untuned, [Quantity.domain(metric)])
    return estimate(changed and scaled(changed, 1.0 if MEASURES[metric].higher_is_better else -1.0))


def _quantities(question: Question, study: Study) -> list[Quantity]:
    """Return what is measured of forgetting, as a finished study calls it.

    Raises:
        GradsError: it has not measured it.
    """
    if question.is_drift:
        if _text(question.study.general, question.study) != _text(study.general, study):
            raise GradsError("it measures drift on another text")
        return [Quantity.general("text", question.measure)]
    found = []
    for task in question.tasks.values():
        wanted = _benchmark(question.study, task)
        key = next((key for key, one in study.general.tasks.items() if _benchmark(study, one) == wanted), None)
        if key is None:
            raise GradsError(f"it does not measure {task.title}")
        found.append(Quantity.general(key, task.metric))
    return found


def _benchmark(study: Study, task: Task) -> dict[str, Any]:
    """Return what a benchmark is known by, however many of its items are drawn."""
    shared = task.model_dump(mode="json", include={"yaml", "metric", "form", "few_shot"})
    return {**shared, "data": _source(study, task.data)}


def _text(general: General, study: Study) -> dict[str, Any]:
    return {"source": _source(study, general.text.source), "max_tokens": general.text.max_tokens}


def _source(study: Study, source: Source) -> dict[str, Any]:
    """Return what a source is known by: an archive by its content, whatever its key."""
    known = source.model_dump(mode="json", exclude={"archive"})
    return known if source.archive_key is None else {**known, "sha256": study.archives[source.archive_key].sha256}


def _same_model(planned: Study, model: Model, finished: Finished, key: str, other: Model) -> bool:
    """Whether two models have the same weights: their source, its files, and what they were taught."""
    if _model(planned, model) != _model(finished.study, other):
        return False
    return not _changed(model.source, finished.folder / "models" / key)


def _model(study: Study, model: Model) -> dict[str, Any]:
    taught = model.taught and {
        **model.taught.model_dump(mode="json", exclude={"source"}),
        "source": _source(study, model.taught.source),
    }
    return {"source": _source(study, model.source), "taught": taught}


def _same_domain(planned: Study, domain: Domain, finished: Finished, key: str, other: Domain) -> bool:
    """Whether two domains have the same records, of which a study may take more or fewer."""
    if _domain(planned, domain) != _domain(finished.study, other):
        return False
    return not _changed(domain.source, finished.folder / "data" / key / "train.parquet")


def _domain(study: Study, domain: Domain) -> dict[str, Any]:
    shared = domain.model_dump(mode="json", exclude={"title", "source", "metadata"})
    return {**shared, "source": _source(study, domain.source)}


def _changed(source: Source, artefact: Path) -> bool:
    """Whether a file of the user's own has changed since an artefact was made of it, as far as both are there."""
    manifest = manifest_of(artefact) if artefact.exists() else None
    if manifest is None:
        return False
    recorded = manifest.content["inputs"]
    fingerprints = Fingerprints(OUTSIDE)
    known = [file for file in source_files(source) if file.is_file() and str(file) in recorded]
    return any(fingerprints.sha256(file) != recorded[str(file)] for file in known)


# Verdicts.


def _judged(question: Question, found: Sequence[_Measured]) -> list[Tried]:
    """Return the runs with a verdict each, as one family: all intervals hold together at 95 %."""
    level = SIGNIFICANCE / max(1, sum(one.forgotten.judged for one in found))
    return [_tried(question, one, level) for one in found]


def _tried(question: Question, one: _Measured, level: float) -> Tried:
    forgotten = one.forgotten
    low, high = forgotten.bounds(1 - (level if forgotten.judged else SIGNIFICANCE))
    strategy, parameters = arm_strategy(one.finished.study, one.run.arm)
    mix = parameters.ratio if isinstance(parameters, Replay) else ""
    return Tried(
        folder=str(one.finished.folder),
        study=one.finished.study.study,
        run=one.run.title,
        keeps=one.run.ratio,
        mix=mix,
        rate=one.training.learning_rate,
        strategy="" if mix or strategy.name in ("sft", "low_lr") else strategy.name,
        records=one.records,
        seeds=forgotten.seeds,
        forgotten=Interval(forgotten.value, low, high),
        learnt=Interval(one.learnt.value, one.learnt.low, one.learnt.high),
        verdict=_verdict(question, forgotten, low, high),
        otherwise=one.otherwise,
    )


def _verdict(question: Question, forgotten: Estimate, low: float, high: float) -> str:
    if not forgotten.has_interval:
        return NOT_MEASURED
    if not forgotten.judged:
        return ITEMS_ONLY
    if high < question.bound:
        return BELOW
    return ABOVE if low > question.bound else UNDECIDED


# Showing.


def advice_lines(advice: Advice) -> Iterator[str]:
    """Yield the lines that `grads advise` prints."""
    what = "mean accuracy over the general benchmarks" if advice.measure == GENERAL else advice.measure
    yield f"Forgotten: {what}, how much worse than the untuned model's, in {advice.unit}. Bound: {_amount(advice)}."
    for place in advice.places:
        yield ""
        yield from _place_lines(advice, place)
    if advice.passed_over:
        yield ""
        yield "Of no help here:"
        yield from (f"  {folder}: {reason}" for folder, reason in advice.passed_over.items())


def _place_lines(advice: Advice, place: Place) -> Iterator[str]:
    yield f"{place.model} on {place.domain}"
    if not place.runs:
        yield "  Nothing is known: no finished study has this model and this domain."
        return
    head = ["study", "run", "mix", "rate", "records", "seeds", "forgotten", f"learnt, {place.metric}", "bound"]
    table = [head, *map(_cells, place.runs)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from _otherwise(place)
    judged = sum(one.verdict in (BELOW, ABOVE, UNDECIDED) for one in place.runs)
    if judged:
        yield f"  95 % intervals: of what was forgotten for all {judged} together, of what was learnt for each alone."
    yield from (f"  {line}" for line in _conclusion(advice, place))


def _cells(one: Tried) -> list[str]:
    run = one.run + (f" ({one.strategy})" if one.strategy else "")
    forgotten, learnt = (_interval(part) for part in (one.forgotten, one.learnt))
    mix = one.mix or "-"
    return [one.study, run, mix, f"{one.rate:g}", f"{one.records:.0f}", str(one.seeds), forgotten, learnt, one.verdict]


def _interval(one: Interval) -> str:
    if math.isnan(one.value):
        return "-"
    if math.isnan(one.low):
        return f"{one.value:.3g}"
    return f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})"


def _otherwise(place: Place) -> Iterator[str]:
    """Yield where studies train otherwise than the planned one, what their arms vary left out."""
    for study, mine in itertools.groupby(place.runs, key=lambda one: one.study):
        shared = dict.fromkeys(f"{key} {said}" for key, said in _shared(list(mine)).items())
        if shared:
            yield f"  {study} is trained otherwise than this study: {', '.join(shared)}."


def _shared(found: Sequence[Tried]) -> dict[str, str]:
    """Return the departures that all runs of a study have."""
    return {
        key: said for key, said in found[0].otherwise.items() if all(one.otherwise.get(key) == said for one in found)
    }


def _conclusion(advice: Advice, place: Place) -> Iterator[str]:
    bound = _amount(advice)
    if place.below:
        yield f"Kept forgetting below {bound}, those that learnt most first:"
        for one in place.below:
            yield f"  {_knobs(one)}: {_interval(one.forgotten)} forgotten ({one.run} of {one.study})"
        return
    if all(one.verdict in (ITEMS_ONLY, NOT_MEASURED) for one in place.runs):
        yield (
            f"Nothing is known: no run has three seeds and an interval, and without them nobody can say whether "
            f"forgetting was below {bound} by what was done, or by the seed."
        )
        return
    if all(one.verdict == ABOVE for one in place.runs):
        yield f"No run kept forgetting below {bound}: all lost more."
        return
    yield f"Of no run is it known that it kept forgetting below {bound}: more seeds or items narrow the intervals."


def _amount(advice: Advice) -> str:
    return "1 point" if (advice.bound, advice.unit) == (1.0, "points") else f"{advice.bound:g} {advice.unit}"


def _knobs(one: Tried) -> str:
    """Return what was chosen: the ratio, the mix and the rate."""
    parts = [f"ratio {one.keeps}", f"rate {one.rate:g}"]
    parts += [f"mix {one.mix}"] if one.mix else []
    parts += [one.strategy] if one.strategy else []
    return ", ".join(parts)
