"""What a file of metrics says of a model's answers: each metric with its interval over items, and what was cut."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grads.report.measurements import GROUPS, domain_items
from grads.report.statistics.bootstrap import group_items
from grads.report.statistics.estimates import Quantity, right_or_wrong
from grads.report.statistics.samples import Estimate, measured

CAPPED = "capped"


def estimated(results: Mapping[str, Any], metric: str) -> Estimate:
    """Return a metric's value with its 95 % interval over items, as the tables have it for one seed.

    Items that belong together are drawn together. Without statistics of each item there is no interval.

    Args:
        results: a file of metrics, as `compute_metrics` writes it.
        metric: one of those in it, or `capped`: the share of answers that were cut.
    """
    entry = results[metric]
    statistic, rows = domain_items(metric, entry)
    value = float(entry["value"])
    if not rows:
        return Estimate(value, float("nan"), float("nan"), int(entry["n"]), 1)
    matrix = np.asarray(rows, dtype=np.float64)
    share = right_or_wrong(Quantity.domain(metric), statistic, [matrix])
    groups = group_items(matrix, group_numbers(results.get(GROUPS, [])))
    return measured([value], [groups], statistic, "answers", "", share).estimate()


def group_numbers(groups: Sequence[str]) -> list[int]:
    """Return the number of each item's group; none where each is on its own."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    return [] if len(numbers) == len(groups) else [numbers[name] for name in groups]


def metric_line(results: Mapping[str, Any], metric: str, details: Sequence[str]) -> str:
    """Return how a metric is printed: value, interval, number of answers, signature, and what it says of itself.

    Args:
        results: as for `estimated`.
        metric: one of those in it.
        details: keys of its entry that are shown.
    """
    found = estimated(results, metric)
    entry = results[metric]
    bounds = f"({found.low:.4f} to {found.high:.4f})" if found.has_interval else ""
    said = [entry.get("signature", ""), *(f"{key}={entry[key]:.4f}" for key in details)]
    return "  ".join([metric, f"{entry['value']:.4f}", *filter(None, [bounds, f"n={entry['n']}", *said])])


def capped_line(results: Mapping[str, Any]) -> str:
    """Return how many answers were cut at the most tokens that were generated; empty where nobody has counted."""
    if CAPPED not in results:
        return ""
    found = estimated(results, CAPPED)
    cut = round(sum(results[CAPPED]["items"]))
    share = f"{100 * found.value:.1f} %"
    bounds = f", {100 * found.low:.1f} to {100 * found.high:.1f}" if found.has_interval else ""
    said = f"capped  {cut} of {found.n} answers reached max_new_tokens ({share}{bounds})"
    return f"{said}: their ends are missing, raise it" if cut else said
