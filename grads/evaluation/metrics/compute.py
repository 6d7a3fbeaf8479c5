"""Metrics of a predictions file, written as one JSON file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from grads.evaluation.metrics.contract import Rows, Setting, mean_result
from grads.evaluation.metrics.registry import find_metric
from grads.runtime.errors import GradsError
from grads.runtime.files import read_jsonl, reading, write_json
from grads.runtime.manifest import manifest_of, verified

ENGLISH = Setting()
LENGTHS = ("capped", "new_tokens")


def compute_metrics(
    predictions: Path,
    names: Sequence[str],
    out: Path,
    setting: Setting = ENGLISH,
    averaged: Sequence[str] = LENGTHS,
    kept: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Compute the metrics `names` of a predictions file and write them to `out` as JSON.

    Each is a `Result`. `capped` (share of answers that hit the limit of new tokens) and `new_tokens` (mean length of an
    answer) stand next to them, and `groups`, where predictions have a `group`: by prediction, what it belongs to.

    Args:
        predictions: JSON lines with `reference` and `prediction`, and what evaluation wrote with them.
        names: of the registry.
        out: the file to write.
        setting: language, and WordNet where a metric needs it.
        averaged: numbers of each item whose means are written with the metrics; other tools' predictions may have none.
        kept: results that are written with them, unless they are among those computed.

    Raises:
        GradsError: no predictions, an unknown metric, a field or a resource that a metric needs is missing.
    """
    found = {name: find_metric(name) for name in names}
    fields = [field for metric in found.values() for field in metric.fields]
    rows = _read(predictions, ["reference", "prediction", *averaged, *fields])
    with reading(predictions, "delete it and run its evaluation again"):
        means = {name: mean_result([row[name] for row in rows]) for name in averaged}
    result = {name: metric.compute(rows, setting) for name, metric in found.items()}
    write_json(out, {**kept, **result, **means, **answer_groups(rows)})


def answer_groups(rows: Rows) -> dict[str, list[str]]:
    """Return as `groups` what each prediction belongs to: a group of its own where it names none, nothing where no
    prediction names one.
    """
    if not any("group" in row for row in rows):
        return {}
    return {"groups": [row.get("group", f"prediction {place}") for place, row in enumerate(rows)]}


def _read(path: Path, fields: Sequence[str]) -> Rows:
    again = "delete it and run its evaluation again"
    if manifest_of(path) is not None:
        verified(path)
    rows = read_jsonl(path, again)
    if not rows:
        raise GradsError(f"{path} is empty: there is nothing to compute metrics from; run its evaluation again")
    for number, row in enumerate(rows, start=1):
        missing = [field for field in fields if field not in row]
        if missing:
            raise GradsError(f"{path}:{number} has no '{missing[0]}', which its metrics need; run its evaluation again")
        if not isinstance(row["reference"], str) or not isinstance(row["prediction"], str):
            raise GradsError(f"{path}:{number} is damaged (its reference and prediction are no texts): {again}")
    return rows
