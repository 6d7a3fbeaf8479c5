"""The table of tests across domains: what tuning on one domain does to the answers on another."""

import itertools

import pandas as pd

from grads.config.study import Study
from grads.report.metrics import MEASURES, computed_metrics
from grads.report.rendering.entries import RunMarks, fact_columns, interval_note, ranked_column
from grads.report.rendering.layout import Block, Entry, Table
from grads.report.statistics.comparisons import lacking_note
from grads.report.statistics.estimates import Estimates, Quantity, Run, runs, untuned_run


def cross_table(study: Study, estimates: Estimates) -> Table:
    """Return the matrix of domains tuned on (blocks) and tested on (columns); rows are arms and ratios."""
    metrics = computed_metrics(study)
    untuned = untuned_run(study)
    marks = RunMarks(estimates.frame)
    blocks = []
    for model, entry in study.models.items():
        if untuned:
            blocks.append(_block(study, estimates, (model, None), [untuned], [untuned.title], entry.title))
        for domain, of in study.domains.items():
            trained = [run for run in runs(study) if run.trained]
            heads = [run.title + marks.mark(model, run, domain) for run in trained]
            title = f"{entry.title}, tuned on {of.title}"
            blocks.append(_block(study, estimates, (model, domain), trained, heads, title))
    return Table(
        name="cross",
        label=study.label,
        caption="Domain metrics on the test sets of all domains, by the domain that the model was tuned on.",
        groups=[("", 1), *((f"tested on {domain.title}", len(metrics)) for domain in study.domains.values())],
        header=["arm", *(MEASURES[metric].arrow for _ in study.domains for metric in metrics)],
        blocks=blocks,
        notes=[
            "Best of each model and domain tuned on in bold, second underlined, compared as printed.",
            interval_note(study),
            *lacking_note(study, estimates, [untuned] if untuned else [], Quantity.domain(metrics[0])),
            *marks.notes(),
        ],
        tidy=pd.DataFrame(_facts(study, estimates)),
    )


def tested_on(domain: str, target: str, metric: str) -> Quantity:
    """Return a metric on the test set of `target`, of a model tuned on `domain`."""
    return Quantity.domain(metric) if target == domain else Quantity("cross", target, metric)


def _block(
    study: Study, estimates: Estimates, of: tuple[str, str | None], rows: list[Run], heads: list[str], title: str
) -> Block:
    """Return the block of a model tuned on a domain; of the untuned model where there is no domain."""
    model, domain = of
    columns = [[Entry(head) for head in heads]]
    for target, metric in itertools.product(study.domains, computed_metrics(study)):
        source = target if domain is None else domain
        found = [estimates.of(model, source, run, tested_on(source, target, metric)) for run in rows]
        ranks = [run.ranked for run in rows]
        columns.append(ranked_column(found, MEASURES[metric].decimals, MEASURES[metric].higher_is_better, ranks))
    return Block(title, [list(row) for row in zip(*columns, strict=True)])


def _facts(study: Study, estimates: Estimates) -> list[dict[str, object]]:
    facts = []
    for model, domain, run in itertools.product(study.models, study.domains, runs(study)):
        for target, metric in itertools.product(study.domains, computed_metrics(study)):
            quantity = tested_on(domain, target, metric)
            about = {"tested_on": target, "metric": metric}
            facts.append(fact_columns(study, estimates, (model, domain, run), quantity, about, "change"))
    return facts
