"""Means over domains, and over several quantities such as the accuracies of all tasks: values, and comparisons.

The domains are those of the study, each of which counts alike. Their test items are drawn apart and their models are
trained apart, so that their variances add; general tasks are the same items whatever domain a model was tuned on, and
stay paired. Nothing in an interval stands for other domains.
"""

import itertools
from collections.abc import Sequence

from grads.config.study import Study
from grads.report.statistics.comparisons import Comparison, compare_runs
from grads.report.statistics.estimates import Estimates, Quantity, Run, estimate
from grads.report.statistics.samples import Sample, average, difference

MEAN = "mean"
"""Stands in place of a domain."""
FIXED = (
    "The mean over domains counts each domain alike; it is about these domains, which are fixed, and its interval says "
    "nothing of others."
)

Place = tuple[str, str]
"""A model and a domain."""


def has_mean(study: Study) -> bool:
    """Whether there are several domains to take a mean over."""
    return len(study.domains) > 1


def places_of(study: Study, model: str) -> list[Place]:
    """Return a model on each of the study's domains."""
    return [(model, domain) for domain in study.domains]


def mean_value(
    estimates: Estimates, places: Sequence[Place], run: Run, quantities: Sequence[Quantity]
) -> Sample | None:
    """Return the mean of a run's quantities on some places; none where a partial long table lacks one of them.

    Raises:
        GradsError: a measurement is missing.
    """
    samples = [estimates.sample(*place, run, quantity) for place, quantity in itertools.product(places, quantities)]
    return _average(samples)


def mean_difference(
    estimates: Estimates, places: Sequence[Place], run: Run, base: Run, quantities: Sequence[Quantity]
) -> Sample | None:
    """Return the mean of a run's quantities minus a baseline's, paired by item and seed; none where one is missing.

    Raises:
        GradsError: a measurement is missing, or the two were not measured alike.
    """
    pairs = [estimates.pair(*place, run, base, quantity) for place, quantity in itertools.product(places, quantities)]
    return _average([None if pair is None else difference(*pair) for pair in pairs])


def compare_means(
    study: Study, estimates: Estimates, places: Sequence[Place], quantities: Sequence[Quantity]
) -> dict[Run, list[Comparison]]:
    """Return the comparisons of every run's mean; those of some places and quantities are one family.

    Raises:
        GradsError: a measurement is missing, or two runs were not measured alike.
    """
    return compare_runs(study, lambda run, base: estimate(mean_difference(estimates, places, run, base, quantities)))


def _average(samples: Sequence[Sample | None]) -> Sample | None:
    known = [sample for sample in samples if sample is not None]
    if len(known) < len(samples):
        return None
    # A single one keeps what only it has, such as its pairs of right and wrong answers.
    return known[0] if len(known) == 1 else average(known)
