"""The table of what was forgotten: general benchmarks, and drift on general text."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from grads.config.study import Study
from grads.report.building.transitions import MEAN, TRANSITIONS_NOTE, Transitions
from grads.report.rendering.entries import (
    RunMarks,
    estimate_columns,
    fact_columns,
    groups_note,
    interval_note,
    published_columns,
    published_note,
    ranked_column,
    value_columns,
    with_published,
)
from grads.report.rendering.layout import Block, Entry, Table, signed, spread
from grads.report.statistics.choices import AMONG_CHOICES, BRIER
from grads.report.statistics.comparisons import (
    Comparison,
    baselines,
    compare,
    compare_runs,
    comparison_columns,
    detectable_note,
    detectable_notes,
    every_baseline,
    lacking_note,
    significance,
    significance_note,
)
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate, runs, untuned_run
from grads.report.statistics.retention import RATIOS, Retained, left_out, mean_retained, retained
from grads.report.statistics.samples import ABSENT, Estimate, Sample, scaled
from grads.study.claim_sentences import DRIFT, GENERAL

_MEAN = Quantity.general(MEAN, "accuracy")
"""Stands for the mean accuracy over tasks, which the long table does not have."""
_TEXT_HEADER = ["Δ NLL ↓", "bits/byte ↓", "KL ↓"]
_RATIO_HEADER = ["retention % ↑", "above chance % ↑", "vs full % ↑"]
_LEFT_OUT = {
    "retention": "Left out of the mean retention, untuned being at 0",
    "retention_above_chance": "Left out of the mean above chance, untuned not being above it",
    "relative_to_full": "Left out of the mean against full, full being at 0",
}
_Compared = dict[tuple[str, str, Quantity], dict[Run, list[Comparison]]]


def forgetting_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of general capability: a row per arm, ratio and domain tuned on, next to the untuned model."""
    tasks = study.general.tasks
    untuned = untuned_run(study)
    compared = _comparisons(study, estimates)
    changed = Transitions(study, estimates)
    blocks = []
    for model, entry in study.models.items():
        if untuned:
            of_any = (model, next(iter(study.domains)))
            blocks.append(_block(changed, compared, of_any, [untuned], entry.title))
        for domain, of in study.domains.items():
            trained = [run for run in runs(study) if run.trained]
            title = f"{entry.title}, tuned on {of.title}"
            blocks.append(_block(changed, compared, (model, domain), trained, title))
    headers = {task: _task_header(estimates, task) for task in tasks}
    groups = [(f"{spec.title} (chance {100 * spec.chance:.0f})", len(headers[task])) for task, spec in tasks.items()]
    means = _mean_header(changed)
    return Table(
        name="forgetting",
        label=study.label,
        caption="General benchmarks and drift on general text after tuning, in brackets the difference to untuned.",
        groups=[("", 1), *groups, ("Text", len(_TEXT_HEADER)), *([("Mean over tasks", len(means))] if means else [])],
        header=["arm", *itertools.chain(*headers.values()), *_TEXT_HEADER, *means],
        blocks=blocks,
        notes=_notes(changed, compared) + RunMarks(estimates.frame).notes(),
        tidy=pd.DataFrame(_facts(study, estimates, compared)),
    )


def _comparisons(study: Study, estimates: Estimates) -> _Compared:
    """Return the comparisons between arms of all that is measured of forgetting, and of the mean over tasks."""
    found: _Compared = {
        (model, domain, quantity): compare(study, estimates, model, domain, quantity)
        for model, domain, quantity in itertools.product(study.models, study.domains, _quantities(study, estimates))
    }
    accuracies = [Quantity.general(task, spec.metric) for task, spec in study.general.tasks.items()]
    for of in itertools.product(study.models, study.domains):

        def difference(run: Run, base: Run, of: tuple[str, str] = of) -> Estimate:
            return estimate(estimates.mean_difference(*of, run, base, accuracies))

        found[*of, _MEAN] = compare_runs(study, difference)
    return found


def _quantities(study: Study, estimates: Estimates) -> list[Quantity]:
    """Return what is measured of forgetting, and compared between arms."""
    tasks = study.general.tasks
    found = [Quantity.general(task, spec.metric) for task, spec in tasks.items()]
    found += [
        Quantity.general(task, metric)
        for task in tasks
        if has_choices(estimates, task)
        for metric in (AMONG_CHOICES, BRIER)
    ]
    return found + [Quantity.general("text", name) for name in DRIFT]


def _task_header(estimates: Estimates, task: str) -> list[str]:
    return ["accuracy ↑", "Δ gold log p ↑"] if has_choices(estimates, task) else ["accuracy ↑"]


def _mean_header(changed: Transitions) -> list[str]:
    if not changed.study.general.tasks:
        return []
    return ["accuracy ↑", *(changed.columns if changed.tasks else []), *_RATIO_HEADER]


def has_choices(estimates: Estimates, task: str) -> bool:
    """Whether a task has right answers that are chosen among others, and not written freely."""
    frame = estimates.frame
    return bool(((frame["task"] == task) & (frame["metric"] == AMONG_CHOICES)).any())


def _block(changed: Transitions, compared: _Compared, of: tuple[str, str], rows: Sequence[Run], title: str) -> Block:
    study = changed.study
    estimates = changed.estimates
    (model, domain) = of
    marks = RunMarks(estimates.frame)
    untuned = untuned_run(study)
    heads = [Entry(run.title + (marks.mark(model, run, domain) if run.trained else "")) for run in rows]
    parts = {run: {task: retained(study, estimates, (*of, run), task) for task in study.general.tasks} for run in rows}

    def marked(quantity: Quantity, higher: bool) -> list[str]:
        return [significance(compared[*of, quantity][run], higher) for run in rows]

    def changes(quantity: Quantity, higher: bool) -> list[Entry]:
        if untuned is None or not any(trained):
            return [Entry("") for _ in rows]
        found = [estimates.difference(*of, run, untuned, quantity) for run in rows]
        return ranked_column(found, 3, higher, ranked, marked(quantity, higher), signs=True)

    columns = [heads]
    trained = [run.trained for run in rows]
    ranked = [run.ranked for run in rows]
    for task, spec in study.general.tasks.items():
        marks_of_task = marked(Quantity.general(task, spec.metric), True)
        accuracies = _accuracies([parts[run][task] for run in rows], marks_of_task, ranked, untuned is not None)
        columns.append(with_published(study, accuracies, of, rows, task, 1))
        if has_choices(estimates, task):
            columns.append(changes(Quantity.general(task, AMONG_CHOICES), True))
    nll, bits, kl = (Quantity.general("text", name) for name in DRIFT)
    columns.append(changes(nll, False))
    values = ranked_column([estimates.of(*of, run, bits) for run in rows], 4, False, ranked)
    moved = None
    if untuned is not None:
        moved = [estimates.difference(*of, run, untuned, bits) if run.trained else ABSENT for run in rows]
    columns.append(_with_changes(values, moved, 4, marked(bits, False)))
    drift = [estimates.of(*of, run, kl) for run in rows]
    columns.append([Entry("0")] if not any(trained) else ranked_column(drift, 3, False, ranked, marked(kl, False)))
    if study.general.tasks:
        compared_with_full = ["full" in baselines(study, run) for run in rows]
        means = [mean_retained(list(parts[run].values())) for run in rows]
        accuracies = _accuracies(means, marked(_MEAN, True), ranked, untuned is not None)
        columns.append(with_published(study, accuracies, of, rows, GENERAL, 1))
        columns += changed.entries(of, rows, MEAN) if changed.tasks else []
        columns += _ratios(means, [parts[run] for run in rows], trained, compared_with_full)
    return Block(title, [list(row) for row in zip(*columns, strict=True)])


def _accuracies(found: Sequence[Retained], marks: Sequence[str], ranks: Sequence[bool], changes: bool) -> list[Entry]:
    """Return a column of accuracies in percent, in brackets the change; their own intervals without `changes`."""
    column = ranked_column([_percent(one.accuracy) for one in found], 1, True, ranks)
    return _with_changes(column, [_percent(one.change) for one in found] if changes else None, 1, marks)


def _with_changes(
    column: Sequence[Entry], changes: Sequence[Estimate] | None, decimals: int, marks: Sequence[str]
) -> list[Entry]:
    """Return a column of values with the change to untuned in brackets, or as it is where there is no such model."""
    asides = [entry.aside for entry in column]
    if changes is not None:
        asides = [
            "" if math.isnan(one.value) else f"({signed(one.value, decimals)} {spread(one.half, decimals)})"
            for one in changes
        ]
    return [
        dataclasses.replace(entry, aside=f"{aside} {mark}".strip())
        for entry, aside, mark in zip(column, asides, marks, strict=True)
    ]


def _ratios(
    means: Sequence[Retained],
    parts: Sequence[Mapping[str, Retained]],
    trained: Sequence[bool],
    with_full: Sequence[bool],
) -> list[list[Entry]]:
    """Return the columns of means of ratios over tasks, empty for runs that are what others are divided by.

    Means of a ratio over unlike tasks, because it is not defined on some for some runs, are not ranked.
    """
    columns = []
    for name in RATIOS:
        values = [_percent(getattr(one, name)) for one in means]
        over = [[task for task, one in tasks.items() if getattr(one, name) is not None] for tasks in parts]
        alike = len(set(map(tuple, filter(None, over)))) == 1
        column = ranked_column(values, 1, True, [alike] * len(values), signs=name == "relative_to_full")
        shown = with_full if name == "relative_to_full" else trained
        columns.append([entry if one else Entry("") for entry, one in zip(column, shown, strict=True)])
    return columns


def _percent(sample: Sample | None) -> Estimate:
    return ABSENT if sample is None else scaled(sample, 100.0).estimate()


def _facts(study: Study, estimates: Estimates, compared: _Compared) -> list[dict[str, Any]]:
    facts = []
    for model, domain, run in itertools.product(study.models, study.domains, runs(study)):
        of = (model, domain, run)
        parts = []
        fact = _fact_maker(study, estimates, compared, of)
        for task, spec in study.general.tasks.items():
            parts.append(retained(study, estimates, of, task))
            ratios = _ratio_columns(parts[-1]) | published_columns(study, of, task)
            facts.append(fact(task, spec.metric, spec.chance) | ratios)
            if has_choices(estimates, task):
                facts += [fact(task, metric, None) for metric in (AMONG_CHOICES, BRIER)]
        facts += [fact("text", name, None) for name in DRIFT]
        if parts:
            names = {"study": study.study, "model": model, "domain": domain, "arm": run.arm, "ratio": run.ratio}
            columns = comparison_columns(compared[model, domain, _MEAN][run]) | published_columns(study, of, GENERAL)
            facts.append(names | _mean_fact(study, mean_retained(parts)) | columns)
    return facts


def _fact_maker(
    study: Study, estimates: Estimates, compared: _Compared, of: tuple[str, str, Run]
) -> Callable[[str, str, float | None], dict[str, Any]]:
    def fact(task: str, metric: str, chance: float | None) -> dict[str, Any]:
        about = {"task": task, "metric": metric, "chance": chance}
        quantity = Quantity.general(task, metric)
        columns = comparison_columns(compared[of[0], of[1], quantity][of[2]])
        return fact_columns(study, estimates, of, quantity, about, "change") | columns

    return fact


def _mean_fact(study: Study, mean: Retained) -> dict[str, Any]:
    fact = {"task": _MEAN.task, "metric": _MEAN.metric, "chance": None, **value_columns(estimate(mean.accuracy))}
    if untuned_run(study):
        fact |= estimate_columns("change", estimate(mean.change))
    return fact | _ratio_columns(mean)


def _ratio_columns(part: Retained) -> dict[str, float]:
    columns: dict[str, float] = {}
    for name in RATIOS:
        columns |= estimate_columns(name, estimate(getattr(part, name)))
    return columns


def _notes(changed: Transitions, compared: _Compared) -> list[str]:
    study = changed.study
    estimates = changed.estimates
    frame = estimates.frame
    tasks = study.general.tasks
    items = frame[frame["part"] == "general"].drop_duplicates("task").set_index("task")["n"]
    parts = [f"{spec.title} {items[task]} ({spec.form}, {spec.metric})" for task, spec in tasks.items()]
    means = (
        "Means over tasks: retention is accuracy / untuned, above chance (accuracy - chance) / (untuned - chance), vs "
        "full accuracy / full - 1, each task's ratio before the mean. No interval where the divisor's reaches 0. The "
        "accuracy has its difference to untuned in brackets."
    )
    return [
        "Items: " + ", ".join([*parts, f"general text {items['text']} passages"]) + ".",
        "Accuracies in percent. Δ gold log p: change of the right answer's mean log-probability among the item's "
        "choices, in nats; they are compared as by the benchmark's metric. Text: change of the negative log-likelihood "
        "per token of general text, in nats; bits per byte of it; and KL(untuned || tuned) per token on it, in nats.",
        *([TRANSITIONS_NOTE] if changed.tasks else []),
        *([means] if tasks else []),
        *[f"{_LEFT_OUT[name]}: {'; '.join(places)}." for name, places in left_out(study, estimates).items() if places],
        "Best of each model and domain in bold, second underlined, compared as printed.",
        interval_note(study),
        *groups_note(_answered(study, estimates)),
        *significance_note(study),
        *lacking_note(study, estimates, every_baseline(study), Quantity.general("text", "kl")),
        *detectable_notes(_detectable(study, compared)),
        *published_note(study, [*tasks, GENERAL]),
    ]


def _answered(study: Study, estimates: Estimates) -> list[tuple[str, Estimate]]:
    """Return the tasks with an estimate that says how many items and groups they have."""
    run = runs(study)[0]
    places = list(itertools.product(study.models, list(study.domains)[:1]))
    return [
        (spec.title, estimates.of(*of, run, Quantity.general(task, spec.metric)))
        for of, (task, spec) in itertools.product(places, study.general.tasks.items())
    ]


def _detectable(study: Study, compared: _Compared) -> list[str]:
    """Return the smallest differences of accuracies and their mean, and of the drift on general text."""
    accuracies = {Quantity.general(task, spec.metric) for task, spec in study.general.tasks.items()}
    nll, bits, kl = ({Quantity.general("text", name)} for name in DRIFT)
    parts = []
    shown = (
        (accuracies, "accuracy", 1, 100.0),
        ({_MEAN}, "mean accuracy", 1, 100.0),
        (nll, "NLL", 3, 1.0),
        (bits, "bits per byte", 4, 1.0),
        (kl, "KL", 3, 1.0),
    )
    for quantities, title, decimals, factor in shown:
        columns = [column for key, column in compared.items() if key[2] in quantities]
        found = [one for column in columns for row in column.values() for one in row]
        parts.append(detectable_note(found, title, decimals, factor))
    return parts
