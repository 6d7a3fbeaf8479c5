"""The table of what was forgotten: general benchmarks, and drift on general text."""

import itertools
import math

import pandas as pd

from grads.study.config import Study
from grads.tables.entries import RunMarks, estimate_entry, fact_columns, interval_note
from grads.tables.estimates import Estimates, Quantity, Run, runs, untuned_run
from grads.tables.layout import Block, Entry, Table, number, signed, spread


def forgetting_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of general capability: a row per arm, ratio and domain tuned on, beside the untuned model."""
    tasks, short = study.general.tasks, RunMarks(estimates.frame)
    blocks, untuned = [], untuned_run(study)
    for model, entry in study.models.items():
        if untuned:
            row = _row(study, estimates, model, next(iter(study.domains)), untuned, None)
            blocks.append(Block(entry.title, [[Entry(untuned.title), *row]]))
        for domain in study.domains:
            trained = [run for run in runs(study) if run.trained]
            heads = [Entry(run.title + short.mark(model, run, domain)) for run in trained]
            rows = [
                [head, *_row(study, estimates, model, domain, run, untuned)]
                for head, run in zip(heads, trained, strict=True)
            ]
            blocks.append(Block(f"{entry.title}, tuned on {study.domains[domain].title}", rows))
    return Table(
        name="forgetting",
        label=study.label,
        caption="General benchmarks and drift on general text after tuning, in brackets the difference to untuned.",
        groups=[("", 1), *((f"{t.title} (chance {100 * t.chance:.0f})", 2) for t in tasks.values()), ("Text", 2)],
        header=["arm", *["accuracy", "Δ gold log p"] * len(tasks), "Δ NLL ↓", "KL ↓"],
        blocks=blocks,
        notes=_notes(study, estimates.frame, short),
        tidy=pd.DataFrame(_facts(study, estimates)),
    )


def _row(study: Study, estimates: Estimates, model: str, domain: str, run: Run, untuned: Run | None) -> list[Entry]:
    """Return a row's entries; without `untuned` to compare with, differences stay empty."""
    entries = []
    for task, spec in study.general.tasks.items():
        accuracy = estimates.of(model, domain, run, Quantity.general(task, spec.metric))
        aside = ""
        if untuned:
            change = estimates.difference(model, domain, run, untuned, Quantity.general(task, spec.metric))
            aside = (
                "" if math.isnan(change.value) else f"({signed(100 * change.value, 1)} {spread(100 * change.half, 1)})"
            )
        entries.append(Entry(number(100 * accuracy.value, 1), aside))
        entries.append(_change(estimates, model, domain, run, untuned, task, "gold_logprob"))
    entries.append(_change(estimates, model, domain, run, untuned, "text", "nll"))
    drift = estimates.of(model, domain, run, Quantity.general("text", "kl"))
    return [*entries, estimate_entry(drift, 3) if run.trained else Entry("0")]


def _change(
    estimates: Estimates, model: str, domain: str, run: Run, untuned: Run | None, task: str, metric: str
) -> Entry:
    if untuned is None:
        return Entry("")
    change = estimates.difference(model, domain, run, untuned, Quantity.general(task, metric))
    return Entry(signed(change.value, 3), spread(change.half, 3))


def _facts(study: Study, estimates: Estimates) -> list[dict[str, object]]:
    measured: list[tuple[str, str, float | None]] = []
    for task, spec in study.general.tasks.items():
        measured += [(task, spec.metric, spec.chance), (task, "gold_logprob", None)]
    facts = []
    for model, domain, run in itertools.product(study.models, study.domains, runs(study)):
        for task, metric, chance in [*measured, ("text", "nll", None), ("text", "kl", None)]:
            about = {"task": task, "metric": metric, "chance": chance}
            quantity = Quantity.general(task, metric)
            facts.append(fact_columns(study, estimates, (model, domain, run), quantity, about, "change"))
    return facts


def _notes(study: Study, frame: pd.DataFrame, short: RunMarks) -> list[str]:
    items = frame[frame["part"] == "general"].drop_duplicates("task").set_index("task")["n"]
    parts = [f"{spec.title} {items[task]} ({spec.form}, {spec.metric})" for task, spec in study.general.tasks.items()]
    return [
        "Items: " + ", ".join([*parts, f"general text {items['text']} passages"]) + ".",
        "Accuracies in percent. Δ gold log p: change of the right answer's mean log-probability. Text: change of the "
        "negative log-likelihood per token of general text, and KL(untuned || tuned) per token on it, in nats.",
        interval_note(study),
        *short.notes(),
    ]
