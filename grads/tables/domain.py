"""The table of what was learnt: domain metrics on held-out test records."""

import itertools
import math

import pandas as pd

from grads.study.config import Study
from grads.tables.comparisons import (
    Comparison,
    compare,
    comparison_columns,
    detectable_note,
    detectable_notes,
    significance,
    significance_note,
)
from grads.tables.entries import (
    RunMarks,
    fact_columns,
    groups_note,
    interval_note,
    method_note,
    published_columns,
    published_note,
    ranked_column,
    with_published,
)
from grads.tables.estimates import Estimates, Quantity, Run, runs
from grads.tables.layout import ABSENT, Block, Entry, Table, number
from grads.tables.measurements import beside
from grads.tables.measures import MEASURES

LEAST_BLEU_BASELINE = 5.0
"""Below this BLEU a relative gain says nothing: 0.2 to 1.0 would be +400 %."""

LENGTH_NOTE = (
    " Ratio: words of the answers by those of their references, as BLEU counts both; BP: the brevity penalty in BLEU, "
    "1 where answers are no shorter."
)

_Compared = dict[tuple[str, str, str], dict[Run, list[Comparison]]]


def domain_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of the domain metrics: a row per arm and ratio, columns domain x metric."""
    metrics, marks = study.evaluation.metrics, RunMarks(estimates.frame)
    compared: _Compared = {
        (model, domain, metric): compare(study, estimates, model, domain, Quantity.domain(metric))
        for model, domain, metric in itertools.product(study.models, study.domains, metrics)
    }
    return Table(
        name="domain",
        label=study.label,
        caption="Domain metrics on the test set of the domain that the model was tuned on.",
        groups=[("", 1), *((domain.title, len(metrics) + 1) for domain in study.domains.values())],
        header=["arm", *[*(MEASURES[metric].arrow for metric in metrics), "tokens"] * len(study.domains)],
        blocks=[_block(study, estimates, marks, model, compared) for model in study.models],
        notes=_notes(study, estimates, compared) + marks.notes(),
        tidy=pd.DataFrame(_facts(study, estimates, compared)),
    )


def _block(study: Study, estimates: Estimates, marks: RunMarks, model: str, compared: _Compared) -> Block:
    columns = [[Entry(run.title + marks.mark(model, run)) for run in runs(study)]]
    for domain in study.domains:
        columns += [
            _column(study, estimates, (model, domain), metric, compared[model, domain, metric])
            for metric in study.evaluation.metrics
        ]
        columns.append([_length(study, estimates, (model, domain, run)) for run in runs(study)])
    return Block(study.models[model].title, [list(row) for row in zip(*columns, strict=True)])


def _column(
    study: Study, estimates: Estimates, of: tuple[str, str], metric: str, compared: dict[Run, list[Comparison]]
) -> list[Entry]:
    measure, rows = MEASURES[metric], runs(study)
    found = [estimates.of(*of, run, Quantity.domain(metric)) for run in rows]
    signs = [significance(compared[run], measure.higher_is_better) for run in rows]
    trained = [run.trained for run in rows]
    column = ranked_column(found, measure.decimals, measure.higher_is_better, trained, signs)
    return with_published(study, column, of, rows, metric, measure.decimals)


def _length(study: Study, estimates: Estimates, of: tuple[str, str, Run]) -> Entry:
    """Return an answer's mean length, beside it the share that was cut at the limit, and what BLEU says of lengths."""
    length, cut = (estimates.of(*of, Quantity.domain(name)).value for name in ("new_tokens", "capped"))
    said = [f"{100 * cut:.0f} % cut"] if cut > 0 else []
    if "bleu" in study.evaluation.metrics:
        ratio, penalty = (
            estimates.of(*of, Quantity.domain(name)).value for name in ("length_ratio", "brevity_penalty")
        )
        said += [f"ratio {number(ratio, 2)}", f"BP {number(penalty, 2)}"] if not math.isnan(ratio) else []
    return Entry(number(length, 1), f"({', '.join(said)})" if said else "")


def _facts(study: Study, estimates: Estimates, compared: _Compared) -> list[dict[str, object]]:
    facts = []
    for model, domain, run in itertools.product(study.models, study.domains, runs(study)):
        for metric in study.evaluation.metrics:
            of, quantity = (model, domain, run), Quantity.domain(metric)
            fact = fact_columns(study, estimates, of, quantity, {"metric": metric}, "gain")
            if "gain" in fact:
                fact["relative_gain"] = _relative(metric, fact["value"], fact["gain"])
            fact |= comparison_columns(compared[model, domain, metric][run])
            fact |= published_columns(study, of, metric)
            facts.append(fact | {"signature": estimates.signature(*of, quantity)})
        for name in beside(study):
            about = {"metric": name}
            facts.append(fact_columns(study, estimates, (model, domain, run), Quantity.domain(name), about, "gain"))
    return facts


def _relative(metric: str, value: float, gain: float) -> float | None:
    """Return the gain as a share of the baseline: for BLEU only, and only where the baseline is not too small."""
    baseline = value - gain
    return gain / baseline if metric == "bleu" and baseline >= LEAST_BLEU_BASELINE else None


def _notes(study: Study, estimates: Estimates, compared: _Compared) -> list[str]:
    frame, metric, run = estimates.frame, study.evaluation.metrics[0], runs(study)[0]
    answered = [
        (entry.title, estimates.of(model, name, run, Quantity.domain(metric)))
        for model, (name, entry) in itertools.product(study.models, study.domains.items())
    ]
    tests = _tests(study, frame)
    signed = tests[tests["signature"] != ""].drop_duplicates(["metric", "signature"])
    signatures = [f"{MEASURES[m].title} {text}" for m, text in zip(signed["metric"], signed["signature"], strict=True)]
    return [
        "Best trained arm in bold, second underlined, compared as printed; the untuned model takes no part.",
        *method_note(frame),
        f"Test items: {_counts(study, tests)}. {interval_note(study)}",
        *_unlike_models(study, frame),
        *groups_note(answered),
        *significance_note(study),
        *detectable_notes([_detectable(compared, metric) for metric in study.evaluation.metrics]),
        *published_note(study, study.evaluation.metrics),
        f"Tokens: mean length of an answer; cut: share of answers stopped at {study.generation.max_new_tokens} tokens."
        + LENGTH_NOTE * ("bleu" in study.evaluation.metrics),
        *(["Signatures: " + "; ".join(signatures) + "."] if signatures else []),
    ]


def _tests(study: Study, frame: pd.DataFrame, domain: str | None = None) -> pd.DataFrame:
    """Return the rows of domain metrics, of one domain or of all."""
    tests = frame[(frame["part"] == "domain") & frame["metric"].isin(study.evaluation.metrics)]
    return tests if domain is None else tests[tests["domain"] == domain]


def _counts(study: Study, tests: pd.DataFrame) -> str:
    """Return how many test items each domain has."""
    numbers = {entry.title: _range(tests[tests["domain"] == key]["n"]) for key, entry in study.domains.items()}
    return "; ".join(f"{title} {number}" for title, number in numbers.items())


def _unlike_models(study: Study, frame: pd.DataFrame) -> list[str]:
    """Say where models answered different test records, because some prompts are too long for one of them."""
    unlike = []
    for domain, entry in study.domains.items():
        counts = {
            study.models[model].title: _range(rows["n"])
            for model, rows in _tests(study, frame, domain).groupby("model", sort=False)
        }
        if len(set(counts.values())) > 1:
            unlike.append(f"{entry.title}: " + ", ".join(f"{title} {number}" for title, number in counts.items()))
    if not unlike:
        return []
    return [
        f"Models were not tested on the same records, since prompts longer than {study.training.max_length} of a "
        f"model's own tokens are left out ({'; '.join(unlike)}): rows of different models cannot be compared."
    ]


def _detectable(compared: _Compared, metric: str) -> str:
    columns = [column for key, column in compared.items() if key[2] == metric]
    measure, all_of = MEASURES[metric], [one for column in columns for row in column.values() for one in row]
    return detectable_note(all_of, measure.title, measure.decimals)


def _range(counts: pd.Series) -> str:
    if counts.empty:  # A partial table may have nothing of a domain.
        return ABSENT
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
