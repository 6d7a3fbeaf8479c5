"""The table of what was learnt: domain metrics on held-out test records."""

import itertools
import math
from collections.abc import Sequence

import pandas as pd

from grads.config.study import Study
from grads.report.measurements import details
from grads.report.metrics import LEAST_BLEU_BASELINE, MEASURES
from grads.report.rendering.entries import (
    RunMarks,
    estimate_columns,
    fact_columns,
    groups_note,
    interval_note,
    method_note,
    published_columns,
    published_note,
    ranked_column,
    value_columns,
    with_published,
)
from grads.report.rendering.layout import ABSENT, Block, Entry, Table, number
from grads.report.statistics.comparisons import (
    Comparison,
    compare,
    comparison_columns,
    detectable_note,
    detectable_notes,
    every_baseline,
    lacking_note,
    significance,
    significance_note,
)
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate, runs, untuned_run
from grads.report.statistics.means import FIXED, MEAN, compare_means, has_mean, mean_difference, mean_value, places_of

LENGTH_NOTE = (
    " Ratio: words of the answers by those of their references, as BLEU counts both; BP: the brevity penalty in BLEU, "
    "1 where answers are no shorter."
)

_Compared = dict[tuple[str, str, str], dict[Run, list[Comparison]]]
"""By model, domain (or MEAN) and metric."""


def domain_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of the domain metrics: a row per arm and ratio, columns domain x metric, then their means."""
    metrics = study.evaluation.metrics
    marks = RunMarks(estimates.frame)
    compared = compare_domains(study, estimates, metrics)
    arrows = [MEASURES[metric].arrow for metric in metrics]
    groups = [("", 1)]
    header = ["arm"]
    for domain in study.domains.values():
        groups.append((domain.title, len(metrics) + 1))
        header += [*arrows, "tokens"]
    if has_mean(study):
        groups.append(("Mean over domains", len(metrics)))
        header += arrows
    return Table(
        name="domain",
        label=study.label,
        caption="Domain metrics on the test set of the domain that the model was tuned on.",
        groups=groups,
        header=header,
        blocks=[_block(study, estimates, marks, model, compared) for model in study.models],
        notes=_notes(study, estimates, compared) + marks.notes(),
        tidy=pd.DataFrame(_facts(study, estimates, compared) + _mean_facts(study, estimates, compared)),
    )


def compare_domains(study: Study, estimates: Estimates, metrics: Sequence[str]) -> _Compared:
    """Return the comparisons of every column: by model, by domain or MEAN where there are several, and by metric.

    Raises:
        GradsError: a measurement is missing, or two runs were not measured alike.
    """
    compared: _Compared = {}
    for model, metric in itertools.product(study.models, metrics):
        quantity = Quantity.domain(metric)
        for domain in study.domains:
            compared[model, domain, metric] = compare(study, estimates, model, domain, quantity)
        if has_mean(study):
            compared[model, MEAN, metric] = compare_means(study, estimates, places_of(study, model), [quantity])
    return compared


def _block(study: Study, estimates: Estimates, marks: RunMarks, model: str, compared: _Compared) -> Block:
    columns = [[Entry(run.title + marks.mark(model, run)) for run in runs(study)]]
    for domain in study.domains:
        columns += [
            _column(study, estimates, (model, domain), metric, compared[model, domain, metric])
            for metric in study.evaluation.metrics
        ]
        columns.append([_length(study, estimates, (model, domain, run)) for run in runs(study)])
    if has_mean(study):
        columns += [
            _mean_column(study, estimates, model, metric, compared[model, MEAN, metric])
            for metric in study.evaluation.metrics
        ]
    return Block(study.models[model].title, [list(row) for row in zip(*columns, strict=True)])


def _column(
    study: Study, estimates: Estimates, of: tuple[str, str], metric: str, compared: dict[Run, list[Comparison]]
) -> list[Entry]:
    measure = MEASURES[metric]
    rows = runs(study)
    found = [estimates.of(*of, run, Quantity.domain(metric)) for run in rows]
    signs = [significance(compared[run], measure.higher_is_better) for run in rows]
    ranked = [run.ranked for run in rows]
    column = ranked_column(found, measure.decimals, measure.higher_is_better, ranked, signs)
    return with_published(study, column, of, rows, metric, measure.decimals)


def _mean_column(
    study: Study, estimates: Estimates, model: str, metric: str, compared: dict[Run, list[Comparison]]
) -> list[Entry]:
    measure = MEASURES[metric]
    rows = runs(study)
    places = places_of(study, model)
    found = [estimate(mean_value(estimates, places, run, [Quantity.domain(metric)])) for run in rows]
    signs = [significance(compared[run], measure.higher_is_better) for run in rows]
    return ranked_column(found, measure.decimals, measure.higher_is_better, [run.ranked for run in rows], signs)


def _length(study: Study, estimates: Estimates, of: tuple[str, str, Run]) -> Entry:
    """Return an answer's mean length, next to it the share that was cut at the limit, and what BLEU says of lengths."""
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
            of = (model, domain, run)
            quantity = Quantity.domain(metric)
            fact = fact_columns(study, estimates, of, quantity, {"metric": metric}, "gain")
            if "gain" in fact:
                fact["relative_gain"] = _relative(metric, fact["value"], fact["gain"])
            fact |= comparison_columns(compared[model, domain, metric][run])
            fact |= published_columns(study, of, metric)
            facts.append(fact | {"signature": estimates.signature(*of, quantity)})
        for name in details(study):
            about = {"metric": name}
            facts.append(fact_columns(study, estimates, (model, domain, run), Quantity.domain(name), about, "gain"))
    return facts


def _mean_facts(study: Study, estimates: Estimates, compared: _Compared) -> list[dict[str, object]]:
    """Return the rows of the means over domains; none where there is one domain."""
    facts: list[dict[str, object]] = []
    if not has_mean(study):
        return facts
    untuned = untuned_run(study)
    for model, run, metric in itertools.product(study.models, runs(study), study.evaluation.metrics):
        places = places_of(study, model)
        quantities = [Quantity.domain(metric)]
        names = {"study": study.study, "model": model, "domain": MEAN, "arm": run.arm, "ratio": run.ratio}
        fact = names | {"metric": metric} | value_columns(estimate(mean_value(estimates, places, run, quantities)))
        if untuned:
            gain = mean_difference(estimates, places, run, untuned, quantities)
            fact |= estimate_columns("gain", estimate(gain))
        facts.append(fact | comparison_columns(compared[model, MEAN, metric][run]))
    return facts


def _relative(metric: str, value: float, gain: float) -> float | None:
    """Return the gain as a share of the baseline: for BLEU only, and only where the baseline is not too small."""
    baseline = value - gain
    return gain / baseline if metric == "bleu" and baseline >= LEAST_BLEU_BASELINE else None


def _notes(study: Study, estimates: Estimates, compared: _Compared) -> list[str]:
    frame = estimates.frame
    metric = study.evaluation.metrics[0]
    run = runs(study)[0]
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
        *([FIXED] if has_mean(study) else []),
        *significance_note(study),
        *lacking_note(study, estimates, every_baseline(study), Quantity.domain(metric)),
        *_small_baselines(study, estimates),
        *detectable_notes(_detectable(study, compared)),
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


def _small_baselines(study: Study, estimates: Estimates) -> list[str]:
    """Say where there is no relative gain of BLEU, the untuned model's being too small for one."""
    untuned = untuned_run(study)
    if untuned is None or "bleu" not in study.evaluation.metrics:
        return []
    small = []
    for (model, entry), (domain, of) in itertools.product(study.models.items(), study.domains.items()):
        base = estimates.of(model, domain, untuned, Quantity.domain("bleu")).value
        if base < LEAST_BLEU_BASELINE:
            where = f"{entry.title} on " if len(study.models) > 1 else ""
            small.append(f"{where}{of.title} ({number(base, 2)})")
    if not small:
        return []
    return [
        f"No relative gain of BLEU where the untuned model has less than {LEAST_BLEU_BASELINE:g}: {', '.join(small)}."
    ]


def _detectable(study: Study, compared: _Compared) -> list[str]:
    """Return the smallest differences of each metric, of single domains and of the mean."""
    parts = []
    for metric, of_mean in itertools.product(study.evaluation.metrics, (False, True)):
        columns = [column for key, column in compared.items() if key[2] == metric and (key[1] == MEAN) == of_mean]
        all_of = [one for column in columns for row in column.values() for one in row]
        measure = MEASURES[metric]
        title = f"{measure.title}, mean over domains" if of_mean else measure.title
        parts.append(detectable_note(all_of, title, measure.decimals))
    return parts


def _range(counts: pd.Series) -> str:
    if counts.empty:  # A partial table may have nothing of a domain.
        return ABSENT
    low = int(counts.min())
    high = int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
