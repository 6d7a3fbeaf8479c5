"""The table of switches: what each parameter of a method is worth, against the arm that has all defaults."""

import itertools
import json
from collections.abc import Iterator

import pandas as pd

from grads.config.study import Study
from grads.report.metrics import MEASURES
from grads.report.rendering.entries import estimate_columns, interval_note, ranked_column, value_columns
from grads.report.rendering.layout import Block, Entry, Table
from grads.report.statistics.comparisons import SIGNIFICANCE, Comparison, family, lacking_note
from grads.report.statistics.estimates import Estimates, Quantity, Run, runs
from grads.report.statistics.samples import LEAST_SEEDS
from grads.study.switches import Variant, variants

DRIFT = Quantity.general("text", "kl")


def ablation_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of switches: a row per variant and ratio, with its difference to the default arm."""
    quantities = [*(Quantity.domain(metric) for metric in study.evaluation.metrics), DRIFT]
    places = list(itertools.product(study.models, study.domains))
    facts = []
    blocks = []
    for model, domain in places:
        pairs = list(_pairs(study))
        found = {
            quantity: family(
                [(base.arm, estimates.difference(model, domain, run, base, quantity)) for _, run, base in pairs]
            )
            for quantity in quantities
        }
        blocks.append(Block(_title(study, model, domain), _rows(pairs, found)))
        facts += [
            _fact(study, (model, domain), pair, quantity, found[quantity][index])
            for index, pair in enumerate(pairs)
            for quantity in quantities
        ]
    return Table(
        name="ablation",
        label=study.label,
        caption="Differences of each variant of a method to the arm with that method's defaults, at the same ratio.",
        groups=[("", 2), ("Domain", len(study.evaluation.metrics)), ("Text", 1)],
        header=["variant", "switch", *(f"Δ {MEASURES[m].arrow}" for m in study.evaluation.metrics), "Δ KL ↓"],
        blocks=blocks,
        notes=[
            f"*: two-sided p of at most {SIGNIFICANCE} after Holm's correction among the variants of a column; none "
            f"with fewer than {LEAST_SEEDS} seeds.",
            "Best of each column in bold, second underlined, compared as printed; the default itself is 0.",
            interval_note(study),
            *lacking_note(study, estimates, [base for _, _, base in _pairs(study)], quantities[0]),
        ],
        tidy=pd.DataFrame(facts),
    )


def _pairs(study: Study) -> Iterator[tuple[Variant, Run, Run]]:
    """Yield every variant's runs with the default arm's run of the same ratio."""
    known = runs(study)
    for variant in variants(study):
        for run in known:
            base = Run(variant.default, run.ratio)
            if run.arm == variant.arm and base in known:
                yield variant, run, base


def _title(study: Study, model: str, domain: str) -> str:
    return f"{study.models[model].title}, tuned on {study.domains[domain].title}"


def _rows(
    pairs: list[tuple[Variant, Run, Run]],
    found: dict[Quantity, list[Comparison]],
) -> list[list[Entry]]:
    columns = [
        [Entry(f"{run.title} vs {base.arm}") for _, run, base in pairs],
        [Entry(switch(variant)) for variant, _, _ in pairs],
    ]
    for quantity, column in found.items():
        measure = MEASURES.get(quantity.metric) if quantity != DRIFT else None
        decimals, higher = (measure.decimals, measure.higher_is_better) if measure else (3, False)
        marks = ["*" if one.significant else "" for one in column]
        columns.append(ranked_column([one.estimate for one in column], decimals, higher, marks=marks, signs=True))
    return [list(row) for row in zip(*columns, strict=True)]


def switch(variant: Variant) -> str:
    """Return what is switched, as a config writes it: `rule: sample, start: warm`."""
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in variant.changed.items()}
    return ", ".join(f"{key}: {value}" for key, value in values.items())


def _fact(
    study: Study,
    of: tuple[str, str],
    pair: tuple[Variant, Run, Run],
    quantity: Quantity,
    one: Comparison,
) -> dict[str, object]:
    (model, domain) = of
    (variant, run, base) = pair
    change = one.estimate
    names = {"study": study.study, "model": model, "domain": domain, "arm": run.arm, "ratio": run.ratio}
    about = {"default": base.arm, "switch": switch(variant), "metric": quantity.metric}
    rest = {name: value for name, value in value_columns(change).items() if name not in ("value", "low", "high")}
    return names | about | estimate_columns("difference", change) | rest | {"p": one.p, "detectable": one.detectable}
