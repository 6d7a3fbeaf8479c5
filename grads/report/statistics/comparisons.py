"""Comparisons of every arm with its controls (`grads.study.controls`), corrected for their number."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from grads.config.arms import Arm
from grads.config.ratios import AUTO
from grads.config.study import Study
from grads.report.statistics.estimates import Estimates, Quantity, Run, runs, untuned_run
from grads.report.statistics.samples import LEAST_SEEDS, POWER, Estimate
from grads.study.controls import CONTROLS, reference

SIGNIFICANCE = 0.05
MINUS = "\u2212"
_MARKS = {"full": "f", "random": "r", "random_length": "l", "full_steps": "s"}
_MEANINGS = {
    "full": f"f+ (f{MINUS}): better (worse) than full",
    "random": f"r+ (r{MINUS}): than random at its ratio",
    "random_length": f"l+ (l{MINUS}): than random_length, a random subset with the lengths that it kept",
    "full_steps": f"s+ (s{MINUS}): than full_steps, fresh random records for as many optimiser steps",
}


@dataclass(frozen=True)
class Comparison:
    """A run minus a baseline's run, in the metric's units.

    `p` is corrected for all comparisons of its family, and `level` is that at which it was tested among them.
    """

    baseline: str
    estimate: Estimate
    p: float
    level: float = SIGNIFICANCE

    @property
    def significant(self) -> bool:
        """Whether the difference is told from 0 at 5 % among all of its family; never with too few seeds."""
        return self.estimate.judged and self.p <= SIGNIFICANCE

    @property
    def detectable(self) -> float:
        """Return the smallest true difference that is seen with 80 % power at the level of the test."""
        return self.estimate.detectable(self.level)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for a family of so many tests (Holm, Scand. J. Statist. 6, 1979).

    The k-th smallest of m is multiplied by m - k + 1, and none is smaller than one before it. NaN, a test that cannot
    be made yet, stays NaN; it counts as one of m, so that a partial table claims no more than the whole one can.
    """
    order = sorted((index for index, value in enumerate(values) if not math.isnan(value)), key=values.__getitem__)
    corrected = [math.nan] * len(values)
    greatest = 0.0
    for rank, index in enumerate(order):
        greatest = max(greatest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = greatest
    return corrected


def holm_levels(values: Sequence[float], significance: float = SIGNIFICANCE) -> list[float]:
    """Return the level at which Holm's procedure tests each of a family, NaN for NaN.

    The k-th smallest p of m is tested at significance / (m - k + 1); the procedure stops at the first that fails, and
    all after it have its level: at that level none of them would be rejected either.
    """
    order = sorted((index for index, value in enumerate(values) if not math.isnan(value)), key=values.__getitem__)
    levels = [math.nan] * len(values)
    level = significance
    rejecting = True
    for rank, index in enumerate(order):
        if rejecting:
            level = significance / (len(values) - rank)
            rejecting = values[index] <= level
        levels[index] = level
    return levels


def baselines(study: Study, run: Run) -> dict[str, Run]:
    """Return what a trained run is compared with, by the method of each.

    That is full data, a random subset of its ratio, the random subset that has its lengths, and fresh random records
    for as many optimiser steps. Controls themselves are compared with full data and a random subset only, full data
    with full data.

    An arm that differs from the default in how it is trained, such as one that starts from the preliminary epoch, is
    compared with the baseline that is trained in the same way, where there is one; else with the plain one. Only in the
    same way are steps equal, so `full_steps` has no substitute. A baseline that is itself trained otherwise, such as
    full data with some tokens masked, is compared with the plain one.
    """
    if not run.ranked:
        return {}
    arm = study.arms[run.arm]
    found = {}
    ranked = [one for one in runs(study) if one.ranked]
    for method in _baseline_methods(arm.method):
        known = [one for one in ranked if study.arms[one.arm].method == method and _belongs(study, run, one)]
        ways = [_training(study.arms[one.arm]) for one in known]
        wanted = [_training(arm), _PLAIN, *ways[:1]]
        if method == "full_steps":
            wanted = wanted[:1]
        if arm.method == method:
            wanted = [] if _training(arm) == _PLAIN else [_PLAIN]
        place = next((ways.index(way) for way in wanted if way in ways), None)
        if place is not None:
            found[method] = known[place]
    return found


def _baseline_methods(method: str) -> tuple[str, ...]:
    if method == "full":
        return CONTROLS[:1]
    return CONTROLS[:2] if method in CONTROLS else CONTROLS


def _belongs(study: Study, run: Run, control: Run) -> bool:
    """Whether a run of a control's method may be the control of a run, by its ratio and by the arm it refers to."""
    method = study.arms[control.arm].method
    if method == "full":
        return True
    own = reference(study, control.arm) == run.arm
    # Lengths are those of one arm, and so is the number of records that an arm finds by itself.
    needed = method == "random_length" or (method == "full_steps" and run.ratio == AUTO)
    return control.ratio == run.ratio and (own or not needed)


def _training(arm: Arm) -> dict[str, object]:
    """Return how an arm is trained, whatever it is trained on."""
    return arm.model_dump(exclude={"method", "ratios", "parameters", "scorer"})


_PLAIN = _training(Arm(method="full"))


def compare(
    study: Study, estimates: Estimates, model: str, domain: str, quantity: Quantity
) -> dict[Run, list[Comparison]]:
    """Return the comparisons of every run; those of one model, domain and quantity are one family.

    Raises:
        GradsError: a measurement is missing, or two runs were not measured alike.
    """
    return compare_runs(study, lambda run, base: estimates.difference(model, domain, run, base, quantity))


def compare_runs(study: Study, difference: Callable[[Run, Run], Estimate]) -> dict[Run, list[Comparison]]:
    """Return the comparisons of every run with its baselines, as one family.

    Args:
        study: the study.
        difference: returns the first run minus the second.
    """
    pairs = [(run, name, base) for run in runs(study) for name, base in baselines(study, run).items()]
    found = family([(name, difference(run, base)) for run, name, base in pairs])
    comparisons: dict[Run, list[Comparison]] = {run: [] for run in runs(study)}
    for (run, _, _), one in zip(pairs, found, strict=True):
        comparisons[run].append(one)
    return comparisons


def family(found: Sequence[tuple[str, Estimate]]) -> list[Comparison]:
    """Return differences, each with the name of what it is to, as one family for Holm's procedure."""
    values = [one.p for _, one in found]
    corrected = holm(values)
    levels = holm_levels(values)
    return [Comparison(name, one, p, level) for (name, one), p, level in zip(found, corrected, levels, strict=True)]


def significance(comparisons: Sequence[Comparison], higher_is_better: bool) -> str:
    """Return the marks of the significant comparisons, such as `f+ r+`: better than full and better than random."""
    signs = []
    for one in comparisons:
        if one.significant:
            better = (one.estimate.value > 0) == higher_is_better
            signs.append(f"{_MARKS[one.baseline]}{'+' if better else MINUS}")
    return " ".join(signs)


def comparison_columns(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Return the columns of a CSV file: difference, interval, corrected p, and the smallest difference to be seen."""
    columns: dict[str, float] = {}
    for one in comparisons:
        name = f"against_{one.baseline}"
        found = one.estimate
        columns |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        columns |= {f"{name}_p": one.p, f"{name}_detectable": one.detectable}
    return columns


def significance_note(study: Study) -> list[str]:
    """Return the sentence that explains the marks; none where there is nothing to compare with."""
    names = {name for run in runs(study) for name in baselines(study, run)}
    if not names:
        return []
    if len(study.seeds) < LEAST_SEEDS:
        return [
            f"No marks: with fewer than {LEAST_SEEDS} seeds nobody can say whether a difference is owed to the arm or "
            "to the seed."
        ]
    said = ", ".join(_MEANINGS[name] for name in CONTROLS if name in names)
    return [
        f"{said}; two-sided p of at most {SIGNIFICANCE} after Holm's correction among all such comparisons of a column "
        "below one heading. Each such column is a family of its own: where arms do not differ at all, up to one column "
        "in twenty has a mark."
    ]


def detectable_note(comparisons: Sequence[Comparison], title: str, decimals: int, factor: float = 1.0) -> str:
    """Return what the smallest difference is that the comparisons of a metric could have seen; empty where unknown."""
    parts = []
    for name in CONTROLS:
        known = [one.detectable * factor for one in comparisons if one.baseline == name]
        known = [value for value in known if not math.isnan(value)]
        if known:
            low, high = (
                f"{value:.{decimals}f}" if value < math.inf else "more than any" for value in (min(known), max(known))
            )
            parts.append(f"{low if low == high else f'{low} to {high}'} from {name}")
    return f"{title} {', '.join(parts)}" if parts else ""


def detectable_notes(parts: Sequence[str]) -> list[str]:
    """Return the sentence on the smallest differences, made of what `detectable_note` says of each metric."""
    said = "; ".join(part for part in parts if part)
    if not said:
        return []
    return [
        f"Smallest true difference that is seen with {100 * POWER:.0f} % power at the level at which each comparison "
        f"is tested: {said}."
    ]


def lacking_note(study: Study, estimates: Estimates, bases: Iterable[Run], quantity: Quantity) -> list[str]:
    """Return the sentence that says on which domain which of some baselines is not measured yet, in a partial table."""
    several = len(study.models) > 1
    parts = []
    known = list(dict.fromkeys(bases))
    for model, domain in itertools.product(study.models, study.domains):
        lacking = [one.title for one in known if estimates.sample(model, domain, one, quantity) is None]
        if lacking:
            where = f"{study.models[model].title} on " if several else ""
            parts.append(f"{where}{study.domains[domain].title} lacks {', '.join(lacking)}")
    if not parts:
        return []
    return [f"Not measured yet, so that nothing is compared with it there: {'; '.join(parts)}."]


def every_baseline(study: Study) -> list[Run]:
    """Return all runs that others are compared with, the untuned model first."""
    untuned = untuned_run(study)
    found = [base for run in runs(study) for base in baselines(study, run).values()]
    return list(dict.fromkeys([*([untuned] if untuned else []), *found]))
