"""The main table, as a paper would print it: a row per arm and ratio, one metric by domain, its mean, and forgetting.

The metric is the first of `evaluation.metrics`. Forgetting is the mean accuracy over all general tasks and the drift on
general text, each over all domains that the models were tuned on. All of it stands in more detail in other tables.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from grads.config.study import Study
from grads.report.metrics import MEASURES
from grads.report.rendering.entries import (
    RunMarks,
    estimate_columns,
    groups_note,
    interval_note,
    ranked_column,
    value_columns,
)
from grads.report.rendering.layout import Block, Entry, Table, signed, spread
from grads.report.statistics.comparisons import (
    Comparison,
    comparison_columns,
    detectable_note,
    detectable_notes,
    every_baseline,
    lacking_note,
    significance,
    significance_note,
)
from grads.report.statistics.estimates import TEXT, Estimates, Quantity, Run, estimate, runs, untuned_run
from grads.report.statistics.means import FIXED, MEAN, Place, compare_means, has_mean, mean_difference, mean_value
from grads.report.statistics.samples import Sample, scaled
from grads.study.claim_sentences import GENERAL

KL = Quantity.general(TEXT, "kl")


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: its header.
        measure: what is measured, as claims call it: a domain metric, `general` or `kl`.
        domain: key of the domain that the models were tuned on, or MEAN.
        domains: keys of the domains that are averaged over.
        quantities: what is averaged over.
        decimals: how many are printed.
        higher_is_better: direction.
        unit: what a value is multiplied by to be printed.
    """

    title: str
    measure: str
    domain: str
    domains: Sequence[str]
    quantities: Sequence[Quantity]
    decimals: int
    higher_is_better: bool
    unit: float = 1.0

    def places(self, model: str) -> list[Place]:
        """Return a model on each of the domains."""
        return [(model, domain) for domain in self.domains]


_Compared = dict[tuple[str, str, str], dict[Run, list[Comparison]]]
"""By model, measure and domain."""


def main_table(study: Study, estimates: Estimates) -> Table:
    """Return the main table: a row per arm and ratio, a block per model.

    Raises:
        GradsError: a measurement is missing, or two runs were not measured alike.
    """
    metric = MEASURES[study.evaluation.metrics[0]]
    marks = RunMarks(estimates.frame)
    learnt = learnt_columns(study)
    kept = forgotten_columns(study)
    compared: _Compared = {
        (model, column.measure, column.domain): compare_means(study, estimates, column.places(model), column.quantities)
        for model, column in itertools.product(study.models, [*learnt, *kept])
    }
    general = "General, mean over domains" if has_mean(study) else "General"
    return Table(
        name="main",
        label=study.label,
        caption=f"What was learnt, {metric.title} by the domain that the model was tuned on, and what was forgotten.",
        groups=[("", 1), (metric.arrow, len(learnt)), (general, len(kept))],
        header=["arm", *(column.title for column in [*learnt, *kept])],
        blocks=[_block(study, estimates, marks, model, [*learnt, *kept], compared) for model in study.models],
        notes=_notes(study, estimates, compared) + marks.notes(),
        tidy=pd.DataFrame(_facts(study, estimates, [*learnt, *kept], compared)),
    )


def learnt_columns(study: Study) -> list[Column]:
    """Return the columns of what was learnt: the first metric on each domain, and its mean over several."""
    name = study.evaluation.metrics[0]
    measure = MEASURES[name]
    quantities = [Quantity.domain(name)]
    shown = [(entry.title, domain, [domain]) for domain, entry in study.domains.items()]
    if has_mean(study):
        shown.append(("mean", MEAN, list(study.domains)))
    return [
        Column(title, name, domain, domains, quantities, measure.decimals, measure.higher_is_better)
        for title, domain, domains in shown
    ]


def forgotten_columns(study: Study) -> list[Column]:
    """Return the columns of what was forgotten: mean accuracy over tasks, if there are any, and drift."""
    domain = MEAN if has_mean(study) else next(iter(study.domains))
    domains = list(study.domains)
    drift = Column("KL ↓", KL.metric, domain, domains, [KL], 3, False)
    accuracies = [Quantity.general(task, spec.metric) for task, spec in study.general.tasks.items()]
    if not accuracies:
        return [drift]
    return [Column("accuracy ↑", GENERAL, domain, domains, accuracies, 1, True, 100.0), drift]


def _block(
    study: Study, estimates: Estimates, marks: RunMarks, model: str, shown: Sequence[Column], compared: _Compared
) -> Block:
    columns = [[Entry(run.title + marks.mark(model, run)) for run in runs(study)]]
    columns += [_column(study, estimates, model, one, compared[model, one.measure, one.domain]) for one in shown]
    return Block(study.models[model].title, [list(row) for row in zip(*columns, strict=True)])


def _column(
    study: Study, estimates: Estimates, model: str, column: Column, compared: dict[Run, list[Comparison]]
) -> list[Entry]:
    rows = runs(study)
    places = column.places(model)
    trained = [run.trained for run in rows]
    found = [mean_value(estimates, places, run, column.quantities) for run in rows]
    values = [estimate(_printed(one, column)) for one in found]
    signs = [significance(compared[run], column.higher_is_better) for run in rows]
    ranked = [run.ranked for run in rows]
    entries = ranked_column(values, column.decimals, column.higher_is_better, ranked, signs)
    if column.measure == KL.metric:
        # The untuned model does not drift from itself, whatever the text.
        return [entry if one else Entry("0") for entry, one in zip(entries, trained, strict=True)]
    if column.measure == GENERAL and (untuned := untuned_run(study)):
        # Paired with the untuned model's, an accuracy's change is known much better than the accuracy.
        changes = [_change(estimates, places, run, untuned, column) if run.trained else "" for run in rows]
        asides = [f"{change} {sign}".strip() for change, sign in zip(changes, signs, strict=True)]
        return [
            dataclasses.replace(entry, aside=aside) if one else entry
            for entry, aside, one in zip(entries, asides, trained, strict=True)
        ]
    return entries


def _printed(sample: Sample | None, column: Column) -> Sample | None:
    return sample if sample is None or column.unit == 1 else scaled(sample, column.unit)


def _change(estimates: Estimates, places: Sequence[Place], run: Run, untuned: Run, column: Column) -> str:
    """Return the difference to the untuned model in brackets, with half its interval; empty where it is unknown."""
    changed = mean_difference(estimates, places, run, untuned, column.quantities)
    one = estimate(_printed(changed, column))
    if math.isnan(one.value):
        return ""
    return f"({signed(one.value, column.decimals)} {spread(one.half, column.decimals)})".replace(" )", ")")


def _facts(study: Study, estimates: Estimates, shown: Sequence[Column], compared: _Compared) -> list[dict[str, object]]:
    facts = []
    untuned = untuned_run(study)
    for model, run, column in itertools.product(study.models, runs(study), shown):
        places = column.places(model)
        names = {"study": study.study, "model": model, "domain": column.domain, "arm": run.arm, "ratio": run.ratio}
        value = estimate(mean_value(estimates, places, run, column.quantities))
        fact = names | {"measure": column.measure} | value_columns(value)
        if untuned:
            change = mean_difference(estimates, places, run, untuned, column.quantities)
            fact |= estimate_columns("change", estimate(change))
        facts.append(fact | comparison_columns(compared[model, column.measure, column.domain][run]))
    return facts


def _notes(study: Study, estimates: Estimates, compared: _Compared) -> list[str]:
    metric = study.evaluation.metrics[0]
    tasks = study.general.tasks
    run = runs(study)[0]
    titles = ", ".join(spec.title for spec in tasks.values())
    accuracy = f"Accuracy: mean over {titles}{' and over the domains' * has_mean(study)}, in percent, in brackets the "
    accuracy += "difference to untuned."
    drift = f"KL: KL(untuned || tuned) per token of general text, in nats{', mean over the domains' * has_mean(study)}."
    answered = [
        (entry.title, estimates.of(model, domain, run, Quantity.domain(metric)))
        for model, (domain, entry) in itertools.product(study.models, study.domains.items())
    ]
    answered += [
        (spec.title, estimates.of(model, next(iter(study.domains)), run, Quantity.general(task, spec.metric)))
        for model, (task, spec) in itertools.product(study.models, tasks.items())
    ]
    return [
        f"{MEASURES[metric].title} is the first of the study's metrics; the tables domain and forgetting have all.",
        *([accuracy] if tasks else []),
        drift,
        "Best trained arm in bold, second underlined, compared as printed; the untuned model takes no part.",
        interval_note(study),
        *groups_note(answered),
        *([FIXED] if has_mean(study) else []),
        *significance_note(study),
        *lacking_note(study, estimates, every_baseline(study), Quantity.domain(metric)),
        *detectable_notes(_detectable(study, compared)),
    ]


def _detectable(study: Study, compared: _Compared) -> list[str]:
    """Return the smallest differences of the columns that sum up others."""
    metric = MEASURES[study.evaluation.metrics[0]]
    several = has_mean(study)
    parts = []
    for column in [*learnt_columns(study), *forgotten_columns(study)]:
        if column.measure == study.evaluation.metrics[0] and several and column.domain != MEAN:
            continue
        title = {GENERAL: "accuracy", KL.metric: "KL"}.get(column.measure, metric.title)
        all_of = [
            one
            for key, found in compared.items()
            if key[1:] == (column.measure, column.domain)
            for row in found.values()
            for one in row
        ]
        parts.append(detectable_note(all_of, title, column.decimals, column.unit))
    return parts
