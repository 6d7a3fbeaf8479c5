"""The long table: one row per cell and metric, with the item statistics from which every other table is computed."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grads.config.study import Study
from grads.data.frames import read_frame
from grads.report.files import CellFiles
from grads.report.metrics import MEASURES, computed_metrics, judged_metrics
from grads.report.statistics.bootstrap import CHANGE, STATISTICS, evaluate, group_items
from grads.report.statistics.choices import (
    CHOICES,
    RIGHT_TO_WRONG_LESS_CHANCE,
    WRONG_TO_RIGHT_LESS_CHANCE,
    choice_measures,
    transitions,
)
from grads.report.statistics.estimates import TEXT, Quantity, right_or_wrong
from grads.report.statistics.samples import measured
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, read_object, reading
from grads.runtime.progress import Progress
from grads.study.claim_sentences import DRIFT
from grads.study.controls import TEST_PROMPTS
from grads.study.grid import Cell, cells
from grads.study.paths import TRAJECTORY, WARM, judgements_file, split_label, store_point

COLUMNS = (
    *("study", "model", "domain", "arm", "ratio", "seed", "part", "task", "metric"),
    *("value", "n", "low", "high", "interval", "signature", "statistic", "items", "item_groups"),
)
GROUPS = "groups"
"""Of the domain metrics' file: the group of each test record."""
LEAST_SUBTASKS = 10
"""From so many subtasks on, those of a benchmark are drawn as its items are."""
EPOCH = ("epochs", "tokens", "seconds", "flops")
LENGTHS = ("capped", "new_tokens")
"""What evaluation says of the answers' lengths: share of them cut at the token limit, mean length in tokens."""


def details(study: Study) -> list[str]:
    """Return what is reported next to the domain metrics: what they say of themselves, and the answers' lengths."""
    return [*(name for metric in study.evaluation.metrics for name in MEASURES[metric].details), *LENGTHS]


def collect(study: Study, files: Sequence[CellFiles], partial: bool = False) -> pd.DataFrame:
    """Read the files of all cells into the long table; with `partial`, of those that are given.

    Returns:
        A frame with COLUMNS. `low` and `high` bound the 95 % interval over items where `interval` is `items only`
        and are NaN where it is `none`. `items` holds one row of sufficient statistics per item, in the order of the
        test set, which `statistic` turns into `value`. `item_groups` says which of them are drawn together, a number
        for each item, counted from 0 in the order of the items; it is empty where every item is a group of its own.

    Raises:
        GradsError: a cell of the study is missing or given twice, a file is missing or lacks an entry, or a value
            differs from what its items give.
    """
    _check_cells(study, files, partial)
    progress = Progress("measurements", len(files), "cells")
    rows: list[dict[str, Any]] = []
    untuned = _untuned_results(files)
    for one in files:
        before = untuned.get(_place(one)) if one.cell.trained else None
        answered = _domain_rows(study, one) + _judgement_rows(study, one, partial)
        found = answered + _general_rows(study, one, before) + _cost_rows(one)
        rows += [{"study": study.study, **_cell_columns(one.cell), **row} for row in found]
        progress.advance()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_measurements(frame: pd.DataFrame, path: Path) -> None:
    """Write the long table as Parquet."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def read_measurements(path: Path) -> pd.DataFrame:
    """Read the long table."""
    return read_frame(path, COLUMNS)


def _check_cells(study: Study, files: Sequence[CellFiles], partial: bool) -> None:
    given = Counter(one.cell for one in files)
    asked = set(cells(study))
    if not partial and (missing := asked - given.keys()):
        raise GradsError(f"cell {min(missing)} of '{study.study}' is missing; tables are made from all cells only")
    if extra := given.keys() - asked:
        raise GradsError(f"cell {min(extra)} is not in study '{study.study}'; leave it out or add it to the config")
    if twice := [cell for cell, count in given.items() if count > 1]:
        raise GradsError(f"cell {twice[0]} is given twice; name every cell once")


def _cell_columns(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in ("model", "domain", "arm", "ratio", "seed")}


def _domain_rows(study: Study, one: CellFiles) -> list[dict[str, Any]]:
    """Return the metrics on the cell's own test set (part `domain`) and on those of others (part `cross`)."""
    places = [(one.metrics, "domain", "test", one.cell.domain)]
    places += [(path, "cross", other, other) for other, path in one.cross.items()]
    rows = []
    for path, part, task, domain in places:
        content = _Content(path, one.cell)
        with reading(path):
            groups = content.optional(GROUPS, [])
            for metric in (*computed_metrics(study), *LENGTHS):
                entry = content.at(metric)
                statistic, items = domain_items(metric, entry)
                rows.append(_row(content, part, task, metric, entry, Items(statistic, items, groups, domain)))
                for name in MEASURES[metric].details if metric in MEASURES else ():
                    found = entry | {"value": content.at(metric, name)}
                    statistic, items = _items_with(name, entry)
                    rows.append(_row(content, part, task, name, found, Items(statistic, items, groups, domain)))
    return rows


def _judgement_rows(study: Study, one: CellFiles, partial: bool) -> list[dict[str, Any]]:
    """Return the judgements on a cell's own answers; with `partial` nothing where they are not judged yet."""
    path = one.judgements and judgements_file(one.judgements, one.cell)
    if path is None or (partial and not path.is_file()):
        return []
    content = _Content(path, one.cell)
    with reading(path):
        rows = []
        for metric in judged_metrics(study):
            entry = content.at(metric)
            items = Items(*domain_items(metric, entry), content.optional(GROUPS, []), one.cell.domain)
            rows.append(_row(content, "domain", "test", metric, entry, items))
        return rows


def _items_with(name: str, entry: dict[str, Any]) -> tuple[str, list[list[float]]]:
    """Return how a number next to a metric is computed and its statistics per item; none where it has no interval.

    BLEU's brevity penalty has none: it is a function of the length ratio with a corner at 1, above which no draw of
    items moves it.
    """
    if name not in STATISTICS or "counts" not in entry:
        return "", []
    return name, [[one["sys_len"], one["ref_len"]] for one in entry["counts"]]


def domain_items(metric: str, entry: dict[str, Any]) -> tuple[str, list[list[float]]]:
    """Return how the metric is computed and its statistics per item; one with a formula only from its `counts`."""
    if metric not in STATISTICS:
        return ("mean", [[item] for item in entry["items"]]) if "items" in entry else ("", [])
    if "counts" not in entry:
        return "", []
    rows = entry["counts"]
    if metric == "bleu":
        rows = [[one["sys_len"], one["ref_len"], *one["correct"], *one["total"]] for one in rows]
    return metric, rows


def _place(one: CellFiles) -> tuple[str, str]:
    return (one.cell.model, one.cell.domain)


def _untuned_results(files: Sequence[CellFiles]) -> dict[tuple[str, str], "_Content"]:
    """Return the general results of the untuned models, by model and domain; those of a model share one file."""
    read: dict[Path, _Content] = {}
    found = {}
    for one in files:
        if not one.cell.trained:
            if one.general not in read:
                read[one.general] = _Content(one.general, one.cell)
            found[_place(one)] = read[one.general]
    return found


def _general_rows(study: Study, one: CellFiles, untuned: "_Content | None") -> list[dict[str, Any]]:
    content = _Content(one.general, one.cell)
    with reading(one.general):
        rows = [row for task in study.general.tasks for row in _task_rows(study, content, task)]
        if untuned is not None:
            rows += [row for task in study.general.tasks for row in _transition_rows(study, content, untuned, task)]
        return rows + _text_rows(content)


def _task_rows(study: Study, content: "_Content", task: str) -> list[dict[str, Any]]:
    """Return what was measured of a benchmark: its metric, and of answers that are chosen how likely the right one is.

    Of answers that are written freely there is the metric alone.
    """
    found = content.at("tasks", task, "items")
    groups = item_groups(found)
    correct = content.at("tasks", task, "value"), [item["correct"] for item in found]
    values = {study.general.tasks[task].metric: correct}
    if "gold_logprob" in content.at("tasks", task):
        values["gold_logprob"] = content.at("tasks", task, "gold_logprob"), [item["gold_logprob"] for item in found]
    if all(CHOICES in item for item in found):
        values |= {metric: (float(one.mean()), one.tolist()) for metric, one in choice_measures(found).items()}
    return [
        _task_row(content, task, metric, value, Items("mean", [[one] for one in items], groups, task))
        for metric, (value, items) in values.items()
    ]


def _transition_rows(study: Study, content: "_Content", untuned: "_Content", task: str) -> list[dict[str, Any]]:
    """Return how the items of a benchmark changed from the untuned model to a tuned one.

    There is nothing where items are not just right or wrong. Nor is there where the two were not asked alike, which
    the tables refuse to compare.
    """
    if content.at("tasks", task, "hash") != untuned.at("tasks", task, "hash"):
        return []
    found = content.at("tasks", task, "items")
    before, after = (
        np.array([item["correct"] for item in items], dtype=np.float64)
        for items in (untuned.at("tasks", task, "items"), found)
    )
    if not np.isin([*before, *after], (0.0, 1.0)).all():
        return []
    chance = study.general.tasks[task].chance
    groups = item_groups(found)
    changes = transitions(before, after, chance)
    kinds = dict.fromkeys((RIGHT_TO_WRONG_LESS_CHANCE, WRONG_TO_RIGHT_LESS_CHANCE), CHANGE if chance else "mean")
    return [
        _task_row(
            content,
            task,
            metric,
            float(one.mean()),
            Items(kinds.get(metric, "mean"), [[item] for item in one.tolist()], groups, task),
        )
        for metric, one in changes.items()
    ]


def _task_row(content: "_Content", task: str, metric: str, value: Any, items: "Items") -> dict[str, Any]:
    # The task's hash covers its items and prompts: only equal hashes may be compared.
    entry = {"value": value, "signature": content.at("tasks", task, "hash")}
    return _row(content, "general", task, metric, entry, items)


def _text_rows(content: "_Content") -> list[dict[str, Any]]:
    """Return the drift on general text, and what the evaluation took."""
    found = content.at("drift", "items")
    rows = []
    for metric in DRIFT:
        value = {"value": content.at("drift", metric)}
        if metric == "bits_per_byte":
            items = Items("ratio", [[item["bits"], item["bytes"]] for item in found], [], TEXT)
        else:
            items = Items("mean", [[item[metric]] for item in found], [], TEXT)
        rows.append(_row(content, "general", TEXT, metric, value, items))
    rows.append(_row(content, "cost", "evaluation", "seconds", {"value": content.at("seconds")}))
    return rows


def _cost_rows(one: CellFiles) -> list[dict[str, Any]]:
    wanted = [
        ("training", one.training, ("records", "epochs", "steps", "tokens", "seconds", "flops", "final_loss")),
        ("selection", one.selection, ("requested", "actual", "eligible", "seconds", "uses_target")),
        ("preliminary", one.preliminary, EPOCH),
        *((f"{model}:preliminary", path, EPOCH) for model, path in sorted(one.scorers.items())),
        *((label, path, _passes(label)) for label, path in sorted(one.stores.items())),
    ]
    warm = {model for model, store in map(split_label, one.stores) if store_point(store)[0] == WARM}
    if warm - {*one.scorers, *([None] if one.preliminary else [])}:
        raise GradsError(f"{one.cell}: the summary of the preliminary epoch is not given; it is part of the cost")
    if one.cell.trained and one.training is None:
        raise GradsError(f"{one.cell}: the summary of the training is not given; every trained cell has one")
    rows = []
    for task, path, metrics in wanted:
        if path is None:
            continue
        content = _Content(path, one.cell)
        # What was kept is signed by where its method comes from, so that tables can say so.
        signature = {"signature": content.at("source")} if task == "selection" else {}
        rows += [_row(content, "cost", task, name, {"value": content.at(name)} | signature) for name in metrics]
        if task == "training":
            rows += _departure_rows(content)
            if TEST_PROMPTS in content.optional("notes", {}):
                rows.append(_row(content, "cost", task, TEST_PROMPTS, {"value": content.at("notes", TEST_PROMPTS)}))
    return rows


def _departure_rows(content: "_Content") -> list[dict[str, Any]]:
    """Return what sets a run apart from plain training by the study's settings; nothing where it is that.

    `departures`: how many settings are others than the study's, signed by which; `scaled`: how much of another arm's
    run it is, signed by that arm.
    """
    departures = content.optional("departures", {})
    rows = []
    if departures:
        said = ", ".join(f"{key} {change}" for key, change in departures.items())
        rows.append(_row(content, "cost", "training", "departures", {"value": len(departures), "signature": said}))
    if arm := content.optional("scaled_from", ""):
        entry = {"value": content.at("notes", "scale"), "signature": arm}
        rows.append(_row(content, "cost", "training", "scaled", entry))
    return rows


def _passes(label: str) -> tuple[str, ...]:
    """Return what a store says of its cost: a trajectory has passes of both kinds, others one pass of either."""
    return ("seconds", "gradient_passes", "flops", *(["forward_passes"] if split_label(label)[1] == TRAJECTORY else []))


def item_groups(items: Sequence[dict[str, Any]]) -> list[str]:
    """Return by item of a general task the group that it is drawn with: its passage or subtask, or else itself.

    Subtasks, such as the subjects of a benchmark, are a sample of their kind where there are enough of them; a few are
    fixed parts of the benchmark.
    """
    subtasks = len({item.get("task") for item in items}) >= LEAST_SUBTASKS
    names = [*(["task"] if subtasks else []), "group"]
    found = []
    for place, item in enumerate(items):
        known = [f"{name}:{item[name]}" for name in names if name in item]
        found.append(" ".join(known) if known else f"item {place}")
    return found


@dataclass(frozen=True)
class Items:
    """What was measured of each item.

    Attributes:
        statistic: turns the sums of `rows` into the value.
        rows: sufficient statistics of each item.
        groups: by item, the name of the group that it is drawn with; none where each is on its own.
        key: names the set of items that is resampled.
    """

    statistic: str
    rows: list[list[float]]
    groups: Sequence[str]
    key: str


def _row(
    content: "_Content", part: str, task: str, metric: str, entry: dict[str, Any], items: Items | None = None
) -> dict[str, Any]:
    """Return the columns of one measurement after the cell's own."""
    value = entry.get("value")
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise GradsError(f"{content.path}: '{metric}' of '{task}' is {value!r}, not a number; make the file again")
    row = {"part": part, "task": task, "metric": metric, "value": float(value), "n": int(entry.get("n", 0))}
    row |= {"low": math.nan, "high": math.nan, "interval": "none", "signature": str(entry.get("signature", ""))}
    row |= {"statistic": "", "items": [], "item_groups": []}
    if items and items.rows:
        matrix = np.asarray(items.rows, dtype=np.float64)
        labels = _labels(content, task, items)
        row |= {"statistic": items.statistic, "items": matrix.tolist(), "item_groups": labels}
        recomputed = evaluate(items.statistic, matrix)
        if not math.isclose(recomputed, value, rel_tol=1e-9, abs_tol=1e-9):
            raise GradsError(
                f"{content.path}: '{metric}' of '{task}' is {value}, its items give {recomputed}; make the file again"
            )
        share = right_or_wrong(Quantity(part, task, metric), items.statistic, [matrix])
        grouped = [group_items(matrix, labels)]
        found = measured([float(value)], grouped, items.statistic, items.key, "", share).estimate()
        row |= {"n": len(matrix), "low": found.low, "high": found.high, "interval": found.kind}
    return row


def _labels(content: "_Content", task: str, items: Items) -> list[int]:
    """Return the number of each item's group; none where every item is on its own."""
    if items.groups and len(items.groups) != len(items.rows):
        raise GradsError(
            f"{content.path} has {len(items.groups)} groups for the {len(items.rows)} items of '{task}'; "
            "make the file again"
        )
    numbers = {name: number for number, name in enumerate(dict.fromkeys(items.groups))}
    return [] if len(numbers) == len(items.groups) else [numbers[name] for name in items.groups]


class _Content:
    """A JSON file that is read once and names itself when something is not in it."""

    def __init__(self, path: Path, cell: Cell) -> None:
        self.path = path
        if not path.is_file():
            raise GradsError(f"{path} is missing, cell {cell} is not finished; run the workflow again to make it")
        self._value = read_object(path)

    def optional(self, key: str, otherwise: Any) -> Any:
        """Return an entry that may not be there."""
        return self._value.get(key, otherwise)

    def at(self, *keys: str) -> Any:
        """Return the entry below `keys`."""
        value = self._value
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise GradsError(f"{self.path} has no '{'.'.join(keys)}'; make the file again with this version")
            value = value[key]
        return value
