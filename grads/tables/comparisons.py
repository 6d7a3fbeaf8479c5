"""Comparisons of every arm with full data and with a random subset of equal size, corrected for their number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grads.study.config import Arm, Study
from grads.tables.estimates import Estimates, Quantity, Run, runs
from grads.tables.samples import POWER, Estimate

BASELINES = ("full", "random")
"""Methods of the arms that every other arm is compared with."""
SIGNIFICANCE = 0.05
MINUS = "\u2212"


@dataclass(frozen=True)
class Comparison:
    """A run minus a baseline's run, in the metric's units; `p` is corrected for all comparisons of its family."""

    baseline: str
    estimate: Estimate
    p: float

    @property
    def significant(self) -> bool:
        """Whether the difference is told from 0 at 5 %, among all of its family."""
        return self.p < SIGNIFICANCE


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for a family of so many tests (Holm, Scand. J. Statist. 6, 1979).

    The k-th smallest of m is multiplied by m - k + 1, and none is smaller than one before it. NaN, a test that cannot
    be made yet, stays NaN; it counts as one of m, so that a partial table claims no more than the whole one can.
    """
    order = sorted((index for index, value in enumerate(values) if not math.isnan(value)), key=values.__getitem__)
    corrected, greatest = [math.nan] * len(values), 0.0
    for rank, index in enumerate(order):
        greatest = max(greatest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = greatest
    return corrected


def baselines(study: Study, run: Run) -> dict[str, Run]:
    """Return what a trained run is compared with: full data, and a random subset of its ratio.

    An arm that differs from the default in how it is trained, such as one that starts from the preliminary epoch, is
    compared with the baseline that is trained in the same way, where there is one; else with the plain one. A baseline
    that is itself trained otherwise, such as full data with some tokens masked, is compared with the plain one.
    """
    if not run.trained:
        return {}
    arm, found = study.arms[run.arm], {}
    for method in BASELINES[:1] if arm.method == "full" else BASELINES:
        ratio = "1" if method == "full" else run.ratio
        known = [one for one in runs(study) if study.arms[one.arm].method == method and one.ratio == ratio]
        ways = [_training(study.arms[one.arm]) for one in known]
        wanted = [_training(arm), _PLAIN, *ways[:1]]
        if arm.method == method:
            wanted = [] if _training(arm) == _PLAIN else [_PLAIN]
        place = next((ways.index(way) for way in wanted if way in ways), None)
        if place is not None:
            found[method] = known[place]
    return found


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
    pairs = [(run, name, base) for run in runs(study) for name, base in baselines(study, run).items()]
    found = [estimates.difference(model, domain, run, base, quantity) for run, _, base in pairs]
    corrected = holm([one.p for one in found])
    comparisons: dict[Run, list[Comparison]] = {run: [] for run in runs(study)}
    for (run, name, _), one, p in zip(pairs, found, corrected, strict=True):
        comparisons[run].append(Comparison(name, one, p))
    return comparisons


def significance(comparisons: Sequence[Comparison], higher_is_better: bool) -> str:
    """Return the marks of the significant comparisons, such as `f+ r+`: better than full and better than random."""
    signs = []
    for one in comparisons:
        if one.significant:
            better = (one.estimate.value > 0) == higher_is_better
            signs.append(f"{one.baseline[0]}{'+' if better else MINUS}")
    return " ".join(signs)


def comparison_columns(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Return the columns of a CSV file: difference, interval, corrected p, and the smallest difference to be seen."""
    columns: dict[str, float] = {}
    for one in comparisons:
        name, found = f"against_{one.baseline}", one.estimate
        columns |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        columns |= {f"{name}_p": one.p, f"{name}_detectable": found.detectable}
    return columns


def significance_note(study: Study) -> list[str]:
    """Return the sentence that explains the marks; none where there is nothing to compare with."""
    names = {name for run in runs(study) for name in baselines(study, run)}
    if not names:
        return []
    meaning = {"full": f"f+ (f{MINUS}): better (worse) than full", "random": f"r+ (r{MINUS}): than random at its ratio"}
    said = ", ".join(meaning[name] for name in BASELINES if name in names)
    return [
        f"{said}; two-sided p < {SIGNIFICANCE} after Holm's correction among all such comparisons of a column "
        "below one heading."
    ]


def detectable_note(comparisons: Sequence[Comparison], title: str, decimals: int, factor: float = 1.0) -> str:
    """Return what the smallest difference is that the comparisons of a metric could have seen; empty where unknown."""
    found = {
        name: [one.estimate.detectable * factor for one in comparisons if one.baseline == name] for name in BASELINES
    }
    parts = []
    for name, values in found.items():
        known = np.array([value for value in values if not math.isnan(value)])
        if len(known):
            low, high = f"{known.min():.{decimals}f}", f"{known.max():.{decimals}f}"
            parts.append(f"{low if low == high else f'{low} to {high}'} from {name}")
    return f"{title} {', '.join(parts)}" if parts else ""


def detectable_notes(parts: Sequence[str]) -> list[str]:
    """Return the sentence on the smallest differences, made of what `detectable_note` says of each metric."""
    said = "; ".join(part for part in parts if part)
    if not said:
        return []
    return [f"Smallest true difference that is seen at 5 % (uncorrected) with {100 * POWER:.0f} % power: {said}."]
