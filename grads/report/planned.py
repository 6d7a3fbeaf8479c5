"""What a study could see, as `grads plan` prints it: the smallest differences that items and seeds can tell from 0."""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from grads.config.study import Study
from grads.report.measurements import read_measurements
from grads.report.metrics import MEASURES, computed_metrics
from grads.report.statistics.comparisons import SIGNIFICANCE
from grads.report.statistics.estimates import Estimates, Quantity, Run
from grads.report.statistics.planning import Design, Deviations, design_of, extrapolated, smallest, stated
from grads.report.statistics.samples import LEAST_SEEDS, POWER, Estimate
from grads.runtime.errors import GradsError
from grads.study.claim_sentences import in_study, read_claims

GUESS = Deviations(items=0.5, seeds=0.02)
"""Of right and wrong answers: a quarter of them differ between two runs, and seeds differ by two points."""
PAIRS = 200
"""Differences of a pilot that are looked at, of each measure."""
COLUMNS = "{:32} {:>8} {:>12} {:>12}"


@dataclass(frozen=True)
class Planned:
    """A measure of a study that is to be run.

    Attributes:
        title: as the line begins.
        items: how many items it is of.
        quantity: what a pilot calls it.
        factor: from its units to those that are printed.
        decimals: of what is printed.
    """

    title: str
    items: int
    quantity: Quantity
    factor: float
    decimals: int


def first_tests(study: Study) -> int:
    """Return how many rows of claims are tested first: sentences, on each model or over all."""
    claims = [one for one in read_claims(study) if in_study(study, one)]
    sentences = {one.sentence: one.claim.pool for one in claims}
    return sum(1 if pool == "models" else len(study.models) for pool in sentences.values())


def stated_lines(study: Study, items: Mapping[str, int], deviations: Deviations) -> Iterator[str]:
    """Yield the lines for a metric of values between 0 and 1, in points of 100, by stated standard deviations.

    Args:
        study: the study.
        items: how many items each test set and general benchmark has, by what it is called.
        deviations: of a difference, on the scale from 0 to 1.
    """
    yield from _head(study, "points of 100")
    for name, number in items.items():
        design = Design(number, len(study.seeds))
        spread = stated(deviations, design)
        yield _row(name, number, [100 * smallest(spread, design, level) for level in _levels(study)], 1)
    yield (
        f"Stated, not measured: standard deviations of a difference of {deviations.items:g} over items and "
        f"{deviations.seeds:g} over seeds, of a metric from 0 to 1 (--item-sd, --seed-sd; --pilot takes them from "
        "measurements)."
    )
    yield from _few(study, len(study.seeds))


def pilot_lines(study: Study, domains: Mapping[str, int], tasks: Mapping[str, int], pilot: Path) -> Iterator[str]:
    """Yield the lines for each metric and benchmark, from how runs of a pilot differed: the median over its pairs.

    Args:
        study: the study.
        domains: how many test records each domain has.
        tasks: how many items each general benchmark has.
        pilot: folder of a study's results, with its measurements.

    Raises:
        GradsError: it cannot be read, or has none of this study's measures.
    """
    file = pilot / "measurements.parquet"
    estimates = Estimates(read_measurements(file), partial=True)
    unknown = []
    lines = []
    seeds = 0
    for planned in _measures(study, domains, tasks):
        found = pilot_differences(estimates, planned.quantity)
        if not found:
            unknown.append(planned.title)
            continue
        seeds = max(seeds, *(one.seeds for one in found))
        values = [
            planned.factor * statistics.median(_smallest(one, planned.items, len(study.seeds), level) for one in found)
            for level in _levels(study)
        ]
        lines.append(_row(planned.title, planned.items, values, planned.decimals))
    if not lines:
        raise GradsError(f"--pilot {pilot}: it has no two trained runs with a metric or benchmark of this study")
    yield from _head(study, "accuracies in points")
    yield from lines
    yield f"From {file}: medians over the differences of its trained runs, for this study's items and seeds."
    if unknown:
        yield f"Not in the pilot: {', '.join(unknown)}."
    yield from _few(study, seeds)


def _measures(study: Study, domains: Mapping[str, int], tasks: Mapping[str, int]) -> Iterator[Planned]:
    for name in computed_metrics(study):
        metric = MEASURES[name]
        for domain, items in domains.items():
            title = f"{study.domains[domain].title}, {metric.title}"
            yield Planned(title, items, Quantity.domain(name), 1.0, metric.decimals)
    for task, items in tasks.items():
        entry = study.general.tasks[task]
        yield Planned(entry.title, items, Quantity.general(task, entry.metric), 100.0, 1)


def pilot_differences(estimates: Estimates, quantity: Quantity) -> list[Estimate]:
    """Return how the trained runs of a pilot differ in a quantity on each model and domain, where that has a spread."""
    frame = estimates.frame
    named = zip(frame["part"], frame["task"], frame["metric"], strict=True)
    mine = frame[[Quantity(*one) == quantity for one in named]]
    found: list[Estimate] = []
    for (model, domain), rows in mine[mine["ratio"] != "0"].groupby(["model", "domain"], sort=False):
        runs = [Run(arm, ratio) for arm, ratio in dict.fromkeys(zip(rows["arm"], rows["ratio"], strict=True))]
        for one, other in itertools.combinations(runs, 2):
            difference = estimates.difference(model, domain, one, other, quantity)
            if difference.spread is not None and len(found) < PAIRS:
                found.append(difference)
    return found


def _smallest(found: Estimate, items: int, seeds: int, level: float) -> float:
    had = design_of(found)
    # Items that belong together do so in the study as they do in the pilot.
    design = Design(max(2, round(items * had.groups / found.n)), seeds)
    assert found.spread is not None
    return smallest(extrapolated(found.spread, had, design), design, level)


def _levels(study: Study) -> list[float]:
    return [SIGNIFICANCE, SIGNIFICANCE / max(1, first_tests(study))]


def _head(study: Study, unit: str) -> Iterator[str]:
    number = first_tests(study)
    yield (
        f"Smallest differences of two runs that are seen {100 * POWER:.0f} % of the time, {len(study.seeds)} seeds, "
        f"{unit}:"
    )
    yield COLUMNS.format("", "items", "alone", f"of {number} tests")


def _row(title: str, items: int, values: list[float], decimals: int) -> str:
    shown = [f"{value:.{decimals}f}" if math.isfinite(value) else "none" for value in values]
    return COLUMNS.format(title[:32], items, *shown)


def _few(study: Study, known: int) -> Iterator[str]:
    if len(study.seeds) < LEAST_SEEDS:
        yield f"With fewer than {LEAST_SEEDS} seeds these are of items alone, and there will be no verdict."
    elif known < LEAST_SEEDS:
        yield f"The pilot has {known} seeds: how much seeds differ is not in these, and the true ones are larger."
