"""What `benchmarks.select` measures: groups of methods with their bars, and approximate forms next to exact ones.

Both follow from what the registered methods declare, so that a new method is measured without a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grads.selection.contract import Method
from grads.selection.registry import methods
from grads.signals.names import FEATURES, SENTENCES, VECTORS
from grads.study.paths import TRAJECTORY

GIBIBYTE = 2**30
# The share that is kept.
RATIO = "0.05"


@dataclass(frozen=True)
class Group:
    """Methods that are measured alike: title, numbers of records, dimensions of vectors, and the bars at the most."""

    title: str
    counts: tuple[int, ...]
    dimensions: int
    seconds: float | None
    peak: int | None


GROUPS = {
    "columns": Group("Columns of numbers", (100_000, 300_000, 1_000_000), 0, 10, None),
    "embeddings": Group("Embeddings and similarity", (10_000, 30_000, 100_000), 384, 300, 4 * GIBIBYTE),
    "gradients": Group("Projected gradients", (10_000, 30_000, 100_000), 1024, 600, 6 * GIBIBYTE),
    "others": Group("Texts and trajectories", (10_000, 30_000, 100_000), 0, None, None),
}
# Too small for a bar.
QUICK = {name: Group(group.title, (200, 400), min(16, group.dimensions), None, None) for name, group in GROUPS.items()}
# Compares all pairs, and its bar is that of the embeddings.
PAIRWISE = "craig"


def groups() -> dict[str, list[str]]:
    """Return the methods of each group, by what they need with the parameters that docs show."""
    found: dict[str, list[str]] = {name: [] for name in GROUPS}
    for name, method in methods().items():
        if chooses(method):
            found[_group(method)].append(name)
    return found


def chooses(method: Method) -> bool:
    """Return whether the method chooses by signals that can be generated: not all, nothing, or a user's file."""
    return method.fixed_ratio is None and not method.equal_steps and not method.needs(method.shown).files


def _group(method: Method) -> str:
    needs = method.needs(method.shown)
    measures = frozenset().union(*needs.stores.values())
    if needs.texts or TRAJECTORY in needs.stores:
        return "others"
    if method.name != PAIRWISE and measures & FEATURES:
        return "gradients"
    return "embeddings" if measures & {*VECTORS, SENTENCES} else "columns"


@dataclass(frozen=True)
class Comparison:
    """An approximate form of a method next to its exact one, both at one size.

    Args:
        method: a name of the registry.
        approximate: parameters of the form whose loss is measured.
        exact: parameters of the exact form.
        count: records.
        dimensions: of their vectors.
        objective: what both are measured by, apart from their overlap: `coverage`, `matching`, or None.
    """

    method: str
    approximate: Mapping[str, Any]
    exact: Mapping[str, Any]
    count: int
    dimensions: int
    objective: str | None = None


# What the sums of projected gradients and the distances between them say of a choice; others by their `exact` alone.
PARTITIONED = (
    Comparison("craig", {"partitions": 4}, {"partitions": 1}, 10_000, 384, "coverage"),
    Comparison("craig", {"partitions": 1, "approximate": True}, {"partitions": 1}, 10_000, 384, "coverage"),
    Comparison("grad_match", {"partitions": 4}, {"partitions": 1}, 30_000, 512, "matching"),
)


def comparisons(quick: bool) -> list[Comparison]:
    """Return the forms to compare: those above, and every method that has the parameter `exact`."""
    found = [one for one in PARTITIONED if one.method in methods()]
    for name, method in methods().items():
        if "exact" in method.parameters.model_fields:
            group = _group(method)
            dimensions, count = GROUPS[group].dimensions, 30_000
            found.append(Comparison(name, {"exact": False}, {"exact": True}, count, dimensions))
    if not quick:
        return found
    return [Comparison(one.method, one.approximate, one.exact, 400, 16, one.objective) for one in found]
