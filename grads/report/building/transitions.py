"""The table of transitions: which answers to general benchmarks changed between the untuned and the tuned models."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from grads.config.study import Study
from grads.report.rendering.entries import RunMarks, groups_note, interval_note, ranked_column, value_columns
from grads.report.rendering.layout import Block, Entry, Table
from grads.report.statistics.choices import (
    BRIER,
    RIGHT_TO_WRONG,
    RIGHT_TO_WRONG_LESS_CHANCE,
    TRANSITIONS,
    WRONG_TO_RIGHT,
    WRONG_TO_RIGHT_LESS_CHANCE,
)
from grads.report.statistics.comparisons import (
    Comparison,
    compare,
    compare_runs,
    comparison_columns,
    detectable_note,
    detectable_notes,
    significance,
    significance_note,
)
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate, runs, untuned_run
from grads.report.statistics.samples import ABSENT, Estimate, Sample, scaled

MEAN = "mean"
TRANSITIONS_NOTE = (
    "Right to wrong: share of the items that the untuned model has right and the tuned one wrong, in points, less what "
    "guessing gives, c / (1 - c) times the share that both have wrong, c being the chance of guessing right; wrong to "
    "right likewise. Their difference is the change of accuracy. A negative one says that the models guess alike."
)
_HIGHER_IS_BETTER = {
    RIGHT_TO_WRONG: False,
    WRONG_TO_RIGHT: True,
    RIGHT_TO_WRONG_LESS_CHANCE: False,
    WRONG_TO_RIGHT_LESS_CHANCE: True,
}
_TITLES = {RIGHT_TO_WRONG_LESS_CHANCE: "right to wrong", WRONG_TO_RIGHT_LESS_CHANCE: "wrong to right"}
"""Of what is printed; the CSV file has what is not taken less chance, too."""
_Place = tuple[str, str]


class Transitions:
    """Answers to a study's benchmarks that changed between the untuned model and the tuned ones.

    Attributes:
        tasks: benchmarks of which it is known, for all trained runs, what changed: those whose items are right or
            wrong, and not right in part; none in a study without the untuned model.
    """

    def __init__(self, study: Study, estimates: Estimates) -> None:
        self.study = study
        self.estimates = estimates
        self.tasks = _known_tasks(study, estimates)
        self._compared: dict[tuple[_Place, str, str], dict[Run, list[Comparison]]] = {}

    @property
    def columns(self) -> list[str]:
        """Titles of the columns of a benchmark, and of the mean over them."""
        return [f"{title} {'↑' if _HIGHER_IS_BETTER[metric] else '↓'}" for metric, title in _TITLES.items()]

    @property
    def all_of(self) -> list[str]:
        """What there are rows of: benchmarks, and the mean over them."""
        return [*self.tasks, *([MEAN] if self.tasks else [])]

    def sample(self, of: _Place, run: Run, task: str, metric: str) -> Sample | None:
        """Return the share of a trained run; none where a partial long table has a hole."""
        return self.estimates.mean(*of, run, self._quantities(task, metric))

    def compared(self, of: _Place, task: str, metric: str) -> dict[Run, list[Comparison]]:
        """Return the comparisons between arms, which are one family."""
        if (of, task, metric) not in self._compared:
            quantities = self._quantities(task, metric)

            def difference(run: Run, base: Run) -> Estimate:
                return estimate(self.estimates.mean_difference(*of, run, base, quantities))

            self._compared[of, task, metric] = compare_runs(self.study, difference)
        return self._compared[of, task, metric]

    def entries(self, of: _Place, rows: Sequence[Run], task: str) -> list[list[Entry]]:
        """Return the columns of a benchmark, or of the mean over them, in points; empty for the untuned model."""
        columns = []
        for metric in _TITLES:
            found = [self._points(of, run, task, metric) for run in rows]
            compared = self.compared(of, task, metric)
            higher = _HIGHER_IS_BETTER[metric]
            signs = [significance(compared[run], higher) for run in rows]
            column = ranked_column(found, 1, higher, [run.ranked for run in rows], signs)
            columns.append([entry if run.trained else Entry("") for entry, run in zip(column, rows, strict=True)])
        return columns

    def _points(self, of: _Place, run: Run, task: str, metric: str) -> Estimate:
        sample = self.sample(of, run, task, metric) if run.trained else None
        return ABSENT if sample is None else scaled(sample, 100.0).estimate()

    def _quantities(self, task: str, metric: str) -> list[Quantity]:
        return [Quantity.general(one, metric) for one in (self.tasks if task == MEAN else [task])]


def _known_tasks(study: Study, estimates: Estimates) -> list[str]:
    frame = estimates.frame
    known = frame.loc[frame["part"] == "general", ["model", "domain", "ratio", "task", "metric"]]
    rows = list(known.itertuples(index=False, name=None))
    untuned = {(model, domain) for model, domain, ratio, *_ in rows if ratio == "0"}
    counts = Counter(
        (task, metric) for model, domain, ratio, task, metric in rows if ratio != "0" and (model, domain) in untuned
    )
    tasks = study.general.tasks.items()
    return [task for task, spec in tasks if 0 < counts[task, RIGHT_TO_WRONG] == counts[task, spec.metric]]


def transitions_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of answers that changed: a row per trained arm, ratio and domain tuned on."""
    changed = Transitions(study, estimates)
    frame = estimates.frame
    chosen = [task for task in study.general.tasks if ((frame["task"] == task) & (frame["metric"] == BRIER)).any()]
    columns = {
        task: [*(changed.columns if task in changed.tasks else []), *(["Δ Brier ↓"] if task in chosen else [])]
        for task in study.general.tasks
    }
    groups = [
        (f"{spec.title} (chance {100 * spec.chance:.0f})", len(columns[task]))
        for task, spec in study.general.tasks.items()
        if columns[task]
    ]
    means = changed.columns if changed.tasks else []
    return Table(
        name="transitions",
        label=study.label,
        caption="Answers to general benchmarks that changed from the untuned model to the tuned ones, less what "
        "guessing gives, and the change of the Brier score.",
        groups=[("", 1), *groups, *([("Mean over tasks", len(means))] if means else [])],
        header=["arm", *itertools.chain(*columns.values()), *means],
        blocks=[_block(changed, of, chosen) for of in itertools.product(study.models, study.domains)],
        notes=_notes(changed) + RunMarks(frame).notes(),
        tidy=pd.DataFrame(_facts(changed)),
    )


def _block(changed: Transitions, of: _Place, chosen: Sequence[str]) -> Block:
    study = changed.study
    (model, domain) = of
    rows = _trained(study)
    marks = RunMarks(changed.estimates.frame)
    columns = [[Entry(run.title + marks.mark(model, run, domain)) for run in rows]]
    for task in study.general.tasks:
        if task in changed.tasks:
            columns += changed.entries(of, rows, task)
        if task in chosen:
            columns.append(_brier(changed, of, rows, task))
    if changed.tasks:
        columns += changed.entries(of, rows, MEAN)
    title = f"{study.models[model].title}, tuned on {study.domains[domain].title}"
    return Block(title, [list(row) for row in zip(*columns, strict=True)])


def _trained(study: Study) -> list[Run]:
    return [run for run in runs(study) if run.trained]


def _brier(changed: Transitions, of: _Place, rows: Sequence[Run], task: str) -> list[Entry]:
    """Return the column of changes of the Brier score, with the marks of the comparisons between arms."""
    study = changed.study
    estimates = changed.estimates
    quantity = Quantity.general(task, BRIER)
    untuned = untuned_run(study)
    assert untuned is not None  # Else there is no such table.
    compared = compare(study, estimates, *of, quantity)
    found = [estimates.difference(*of, run, untuned, quantity) for run in rows]
    ranked = [run.ranked for run in rows]
    return ranked_column(found, 3, False, ranked, [significance(compared[run], False) for run in rows], signs=True)


def _facts(changed: Transitions) -> list[dict[str, Any]]:
    study = changed.study
    facts = []
    for model, domain, run in itertools.product(study.models, study.domains, _trained(study)):
        names = {"study": study.study, "model": model, "domain": domain, "arm": run.arm, "ratio": run.ratio}
        for task, metric in itertools.product(changed.all_of, TRANSITIONS):
            chance = None if task == MEAN else study.general.tasks[task].chance
            value = estimate(changed.sample((model, domain), run, task, metric))
            columns = comparison_columns(changed.compared((model, domain), task, metric)[run])
            facts.append(names | {"task": task, "metric": metric, "chance": chance} | value_columns(value) | columns)
    return facts


def _notes(changed: Transitions) -> list[str]:
    study = changed.study
    estimates = changed.estimates
    places = list(itertools.product(study.models, study.domains))
    domain = next(iter(study.domains))
    answered = [
        (spec.title, estimates.of(model, domain, _trained(study)[0], Quantity.general(task, spec.metric)))
        for model, (task, spec) in itertools.product(study.models, study.general.tasks.items())
    ]
    detectable = []
    for metric, title in _TITLES.items():
        columns = [changed.compared(of, task, metric) for of, task in itertools.product(places, changed.tasks)]
        found = [one for column in columns for row in column.values() for one in row]
        detectable.append(detectable_note(found, title, 1, 100.0))
    return [
        *([TRANSITIONS_NOTE] if changed.tasks else []),
        "Δ Brier: change of the mean over items of the sum over choices of (probability - 1 for the right one, 0 for "
        "others) squared, probabilities being those among the item's choices.",
        "Best of each model and domain in bold, second underlined, compared as printed.",
        interval_note(study),
        *groups_note(answered),
        *significance_note(study),
        *detectable_notes(detectable),
    ]
