"""What is left of general capability: retention against the untuned model, and the change against full data."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

from grads.config.study import Study
from grads.report.statistics.comparisons import baselines
from grads.report.statistics.estimates import Estimates, Quantity, Run, runs, untuned_run
from grads.report.statistics.samples import Sample, average, difference, ratio, shifted


@dataclass(frozen=True)
class Retained:
    """Accuracy of a run on a benchmark, or its mean over benchmarks; none where it is not defined or not measured.

    Attributes:
        accuracy: as a share.
        change: accuracy minus the untuned model's.
        retention: accuracy divided by the untuned model's.
        retention_above_chance: (accuracy - chance) / (untuned - chance); not defined where untuned is not above chance.
        relative_to_full: accuracy divided by that of tuning on all records, minus 1: the form in which GrADS (arXiv
            2511.08620) gives its improvements.
    """

    accuracy: Sample | None = None
    change: Sample | None = None
    retention: Sample | None = None
    retention_above_chance: Sample | None = None
    relative_to_full: Sample | None = None


RATIOS = ("retention", "retention_above_chance", "relative_to_full")


def retained(study: Study, estimates: Estimates, of: tuple[str, str, Run], task: str) -> Retained:
    """Return what is left of a benchmark.

    Raises:
        GradsError: a measurement is missing, or two runs were not measured alike.
    """
    spec = study.general.tasks[task]
    run = of[2]
    quantity = Quantity.general(task, spec.metric)
    accuracy = estimates.sample(*of, quantity)
    untuned = untuned_run(study)
    change = retention = above_chance = relative = None
    if untuned and run.trained and (pair := estimates.pair(*of, untuned, quantity)):
        change = difference(*pair)
        retention = ratio(*pair)
        # What is above chance may be negative, which has no logarithm.
        above_chance = ratio(shifted(pair[0], -spec.chance), shifted(pair[1], -spec.chance), log=False)
    full = baselines(study, run).get("full")
    if full and (pair := estimates.pair(*of, full, quantity)) and (quotient := ratio(*pair)):
        relative = shifted(quotient, -1.0)
    return Retained(accuracy, change, retention, above_chance, relative)


def mean_retained(parts: Sequence[Retained]) -> Retained:
    """Return the means over benchmarks, each over those on which it is defined."""
    means: dict[str, Sample | None] = {}
    for field in fields(Retained):
        known = [sample for part in parts if (sample := getattr(part, field.name)) is not None]
        means[field.name] = average(known) if known else None
    return Retained(**means)


def left_out(study: Study, estimates: Estimates) -> dict[str, list[str]]:
    """Return for each of RATIOS where it is not defined, in the words of a table's notes.

    The untuned model is the same whatever the domain; of full data the domain that it was tuned on is named.
    """
    found: dict[str, list[str]] = {name: [] for name in RATIOS}
    untuned = untuned_run(study)
    fulls = dict.fromkeys(full for run in runs(study) if (full := baselines(study, run).get("full")))
    for (model, entry), (domain, of), (task, spec) in itertools.product(
        study.models.items(), study.domains.items(), study.general.tasks.items()
    ):
        divisors = [("retention", untuned, 0.0), ("retention_above_chance", untuned, spec.chance)]
        divisors += [("relative_to_full", full, 0.0) for full in fulls]
        for name, base, least in divisors:
            if base and estimates.of(model, domain, base, Quantity.general(task, spec.metric)).value <= least:
                tuned = f", {base.title} tuned on {of.title}," if base.trained else ""
                found[name].append(f"{entry.title}{tuned} on {spec.title}")
    return {name: list(dict.fromkeys(places)) for name, places in found.items()}
