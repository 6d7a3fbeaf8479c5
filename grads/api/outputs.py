"""Two models' answers to the same items, compared item by item: predictions of ours, or samples that lm-eval logged."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from grads.api.scored import group_numbers
from grads.evaluation.metrics.compute import answer_groups
from grads.evaluation.metrics.contract import Setting
from grads.evaluation.metrics.registry import find_metric
from grads.report.measurements import GROUPS, domain_items
from grads.report.statistics.bootstrap import CHANGE, evaluate, group_items
from grads.report.statistics.choices import (
    RIGHT_TO_WRONG,
    RIGHT_TO_WRONG_LESS_CHANCE,
    WRONG_TO_RIGHT,
    WRONG_TO_RIGHT_LESS_CHANCE,
    transitions,
)
from grads.report.statistics.comparisons import holm
from grads.report.statistics.samples import Estimate, Sample, difference, measured
from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import read_jsonl

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")
"""What lm-eval calls a file of `--log_samples`."""
PREDICTIONS = "predictions"
"""The task that stands for answers in files of ours."""
RESPONSE_NLL = "response_nll"
OWN_FIELDS = ("reference", "prediction")


@dataclass(frozen=True)
class Items:
    """A model's answers to the items of one task.

    Attributes:
        rows: by id, what is known of the item.
        logged: whether lm-eval logged them, with the values of its metrics; else they are predictions.
    """

    rows: Mapping[str, Mapping[str, Any]]
    logged: bool


@dataclass(frozen=True)
class Changed:
    """Right and wrong answers that changed from A to B.

    Attributes:
        right_to_wrong: how many items A has right and B wrong.
        wrong_to_right: how many the other way.
        chance: probability of guessing right.
        right_to_wrong_less_chance: share of the items, less what guessing changes: value, and bounds at 95 %.
        wrong_to_right_less_chance: the same the other way.
    """

    right_to_wrong: int
    wrong_to_right: int
    chance: float
    right_to_wrong_less_chance: tuple[float, float, float]
    wrong_to_right_less_chance: tuple[float, float, float]


@dataclass(frozen=True)
class Compared:
    """A metric of two models on the items that both have answered.

    Attributes:
        task: of lm-eval with its filter, or `predictions`.
        metric: its name.
        a: value of the first.
        b: value of the second.
        n: items that both have.
        groups: groups of items that are drawn together; n where each item is its own.
        difference: b - a.
        low: lower bound of its 95 % interval, NaN where there is none.
        high: upper bound.
        p: two-sided; exact (McNemar's) where each item is right or wrong.
        p_holm: the same, corrected for the number of rows (Holm).
        exact: whether the test is the exact one.
        detectable: the smallest true difference that a test at 5 % sees with 80 % power.
        changed: of items that are right or wrong, how many changed.
    """

    task: str
    metric: str
    a: float
    b: float
    n: int
    groups: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    exact: bool
    detectable: float
    changed: Changed | None


@dataclass(frozen=True)
class Comparison:
    """Two models' answers, compared.

    Attributes:
        a: where the first's are.
        b: where the second's are.
        rows: a row for each task and metric.
        only_a: items by task that A has and B has not; they are left out.
        only_b: the other way.
        notes: what else a reader should know.
    """

    a: str
    b: str
    rows: Sequence[Compared]
    only_a: Mapping[str, int] = field(default_factory=dict)
    only_b: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __getitem__(self, metric: str) -> Compared:
        """Return the row of a metric, `metric` or `task/metric` where several tasks have it."""
        found = [row for row in self.rows if metric in (row.metric, f"{row.task}/{row.metric}")]
        if len(found) != 1:
            raise KeyError(metric)
        return found[0]

    def frame(self) -> "pd.DataFrame":
        """Return a row for each task and metric, with a column for each attribute of `Compared`."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.rows])

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it, None for what is no number."""
        content = {**asdict(self), "rows": [asdict(row) for row in self.rows]}
        return json.loads(json.dumps(content), parse_constant=lambda _: None)

    def __str__(self) -> str:
        return "\n".join(_said(self))


def compare_outputs(
    a: Path, b: Path, metrics: Sequence[str] = (), setting: Setting | None = None, chance: float | None = None
) -> Comparison:
    """Compare two models' answers to the same items, paired by their ids.

    Args:
        a: JSON lines of predictions with `id`, `reference` and `prediction`; or what lm-eval wrote by `--log_samples`:
            a file of samples, or the folder of them.
        b: the same of the other model.
        metrics: of predictions, those to compute; BLEU and chrF, and the response's likelihood where both have it, if
            none are given. Of lm-eval's samples, those to show; all if none are given.
        setting: language and WordNet, for predictions.
        chance: probability of guessing an item right; by the number of an item's choices if not given, else 0.

    Raises:
        GradsError: a file cannot be read, has an id twice, or none; the two have no item in common, or an item of one
            id is another item; there is no such metric.
    """
    first = read_outputs(a)
    second = read_outputs(b)
    tasks = [task for task in first if task in second]
    if not tasks:
        raise GradsError(
            f"{a} has answers to {', '.join(first)}, and {b} to {', '.join(second)}: compare answers to the same task"
        )
    found: list[_Row] = []
    only_a = {task: len(first[task].rows) for task in first if task not in second}
    only_b = {task: len(second[task].rows) for task in second if task not in first}
    notes: list[str] = []
    for task in tasks:
        one = first[task]
        other = second[task]
        ids = [id_ for id_ in one.rows if id_ in other.rows]
        only_a |= {task: len(one.rows) - len(ids)} if len(ids) < len(one.rows) else {}
        only_b |= {task: len(other.rows) - len(ids)} if len(ids) < len(other.rows) else {}
        if not ids:
            raise GradsError(f"{a} and {b} have no item of {task} in common: compare answers to the same items")
        notes += _check_alike(task, ids, one, other, (a, b))
        pair = ([one.rows[id_] for id_ in ids], [other.rows[id_] for id_ in ids])
        if one.logged:
            found += _logged_rows(task, pair, chance)
        else:
            found += _own_rows(task, pair, metrics, setting or Setting(), chance)
    if not found:
        raise GradsError(f"{a} and {b} have no metric in common that is a number of each item: log others")
    if missing := sorted(set(metrics) - {row.metric for row in found}):
        raise GradsError(f"--metric {missing[0]}: {nearest(missing[0], {row.metric for row in found})}")
    found = [row for row in found if not metrics or row.metric in metrics]
    corrected = holm([row.estimate.p for row in found])
    rows = [row.compared(p) for row, p in zip(found, corrected, strict=True)]
    return Comparison(str(a), str(b), rows, only_a, only_b, notes)


# Reading.


def read_outputs(path: Path) -> dict[str, Items]:
    """Return a model's answers by task: `predictions` of a file of ours, or each task and filter of lm-eval.

    Raises:
        GradsError: there is no such file, a folder has no samples or those of several models, or a row has no id.
    """
    if path.is_dir():
        return {name: items for file in _sample_files(path) for name, items in _logged(file).items()}
    if not path.is_file():
        raise GradsError(f"{path} is not there: give predictions, or what lm-eval wrote with --log_samples")
    rows = read_jsonl(path)
    if not rows:
        raise GradsError(f"{path} is empty: there is nothing to compare")
    if "doc_id" in rows[0] and "prediction" not in rows[0]:
        return _logged(path)
    for number, row in enumerate(rows, start=1):
        for key in ("id", *OWN_FIELDS):
            if not isinstance(row.get(key), str):
                raise GradsError(f"{path}:{number} has no text '{key}': give each line an id and two texts")
    return {PREDICTIONS: Items(_by_id(path, ((row["id"], row) for row in rows)), logged=False)}


def _sample_files(folder: Path) -> list[Path]:
    """Return the newest file of samples of each task; they may lie in a folder of the model's name."""
    newest: dict[str, tuple[str, Path]] = {}
    for path in sorted(folder.rglob("samples_*.jsonl")):
        match = SAMPLES.fullmatch(path.name)
        task, time = (match["task"], match["time"]) if match else (path.stem.removeprefix("samples_"), "")
        newest[task] = max(newest.get(task, ("", path)), (time, path))
    files = [path for _time, path in newest.values()]
    if not files:
        raise GradsError(f"{folder} has no samples_*.jsonl of lm-eval: run it with --log_samples, or name a file")
    folders = {path.parent for path in folder.rglob("samples_*.jsonl")}
    if len(folders) > 1:
        named = ", ".join(sorted(one.name for one in folders))
        raise GradsError(f"{folder} has samples in several folders ({named}): name that of one model")
    return files


def _logged(path: Path) -> dict[str, Items]:
    """Return the items of a file that lm-eval wrote, by task and filter."""
    match = SAMPLES.fullmatch(path.name)
    task = match["task"] if match else path.stem
    by_filter: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        if "doc_id" not in row:
            raise GradsError(f"{path}:{number} has no 'doc_id', by which items are paired: log the samples again")
        by_filter.setdefault(str(row.get("filter", "none")), []).append((str(row["doc_id"]), row))
    return {
        task if name == "none" else f"{task},{name}": Items(_by_id(path, rows), logged=True)
        for name, rows in by_filter.items()
    }


def _by_id(path: Path, rows: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for id_, row in rows:
        if id_ in found:
            raise GradsError(f"{path}: item '{id_}' is there twice: keep one answer to each item")
        found[id_] = row
    return found


def _check_alike(task: str, ids: Sequence[str], one: Items, other: Items, paths: tuple[Path, Path]) -> list[str]:
    """Refuse items that only have their ids in common; return what is to be said of other prompts."""
    keys = ("doc_hash",) if one.logged else ("reference",)
    for id_ in ids:
        for key in keys:
            found = one.rows[id_].get(key), other.rows[id_].get(key)
            if None not in found and found[0] != found[1]:
                raise GradsError(
                    f"item '{id_}' of {task} is another one in {paths[1]} than in {paths[0]} (its {key} differs): "
                    "compare answers to the same items"
                )
    key = "prompt_hash" if one.logged else "prompt"
    asked = [(one.rows[id_].get(key), other.rows[id_].get(key)) for id_ in ids]
    differ = sum(None not in pair and pair[0] != pair[1] for pair in asked)
    return [f"{task}: {differ} of {len(ids)} items had another prompt in B than in A"] if differ else []


# Measuring.


@dataclass(frozen=True)
class _Row:
    task: str
    metric: str
    a: float
    b: float
    estimate: Estimate
    changed: Changed | None

    def compared(self, p_holm: float) -> Compared:
        found = self.estimate
        return Compared(
            self.task,
            self.metric,
            self.a,
            self.b,
            found.n,
            found.groups,
            self.b - self.a,
            found.low,
            found.high,
            found.p,
            p_holm,
            found.pairs is not None,
            found.detectable(),
            self.changed,
        )


def _own_rows(
    task: str,
    pair: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]],
    metrics: Sequence[str],
    setting: Setting,
    chance: float | None,
) -> list[_Row]:
    sides = [[dict(row) for row in rows] for rows in pair]
    names = list(metrics) or ["bleu", "chrf"]
    if not metrics and all(RESPONSE_NLL in row for rows in sides for row in rows):
        names.append(RESPONSE_NLL)
    labels = group_numbers(answer_groups(sides[0]).get(GROUPS, []))
    rows = []
    for name in names:
        metric = find_metric(name)
        for field_ in metric.fields:
            if not all(field_ in row for side in sides for row in side):
                raise GradsError(f"--metric {name}: not every prediction has the '{field_}' that it reads: remove it")
        results = [metric.compute(side, setting) for side in sides]
        items = [domain_items(name, result) for result in results]
        rows.append(_row(task, name, items[0][0], [np.array(one) for _statistic, one in items], labels, chance or 0.0))
    return rows


def _logged_rows(
    task: str,
    pair: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]],
    chance: float | None,
) -> list[_Row]:
    found = []
    for name in _metrics_of(pair[0][0]):
        values = [[_number(row.get(name)) for row in rows] for rows in pair]
        # What is aggregated otherwise, such as a corpus BLEU or a perplexity, is logged as several numbers.
        if any(value is None for side in values for value in side):
            continue
        guessed = chance if chance is not None else _chance(pair[0])
        tables = [np.array(side, dtype=np.float64)[:, None] for side in values]
        found.append(_row(task, name, "mean", tables, [], guessed))
    return found


def _metrics_of(row: Mapping[str, Any]) -> list[str]:
    named = row.get("metrics")
    if isinstance(named, list):
        return [str(name) for name in named]
    return [name for name, value in row.items() if name != "doc_id" and _number(value) is not None]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, bool | int | float) and math.isfinite(value) else None


def _chance(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the probability of guessing an item right by its number of choices; 0 where answers are written."""
    shares = []
    for row in rows:
        answers = row.get("filtered_resps")
        choices = isinstance(answers, list) and len(answers) > 1 and all(map(_is_choice, answers))
        shares.append(1 / len(answers) if choices and isinstance(answers, list) else 0.0)
    return fmean(shares)


def _is_choice(answer: Any) -> bool:
    """Whether it is a log-probability, and whether it was the likeliest answer."""
    return isinstance(answer, list) and len(answer) == 2 and str(answer[1]) in ("True", "False")


def _row(
    task: str, metric: str, statistic: str, tables: Sequence[np.ndarray], labels: Sequence[int], chance: float
) -> _Row:
    """Return a metric of the two, by the statistics of tables: those of one seed."""
    share = statistic == "mean" and all(bool(np.isin(table, (0.0, 1.0)).all()) for table in tables)
    values = [evaluate(statistic, table) for table in tables]
    samples = [
        _sample(value, statistic, table, labels, task, share) for value, table in zip(values, tables, strict=True)
    ]
    estimate = difference(samples[1], samples[0]).estimate()
    changed = _changed(task, tables, labels, chance) if share else None
    return _Row(task, metric, values[0], values[1], estimate, changed)


def _sample(
    value: float, statistic: str, table: np.ndarray, labels: Sequence[int], task: str, share: bool = False
) -> Sample:
    return measured([value], [group_items(table, labels)], statistic, task, "", share)


def _changed(task: str, tables: Sequence[np.ndarray], labels: Sequence[int], chance: float) -> Changed:
    before, after = (table[:, 0] for table in tables)
    found = transitions(before, after, chance)

    def estimated(metric: str) -> tuple[float, float, float]:
        items = found[metric]
        value = float(items.mean())
        statistic = CHANGE if chance else "mean"
        estimate = _sample(value, statistic, items[:, None], labels, task, share=not chance).estimate()
        return value, estimate.low, estimate.high

    return Changed(
        int(found[RIGHT_TO_WRONG].sum()),
        int(found[WRONG_TO_RIGHT].sum()),
        chance,
        estimated(RIGHT_TO_WRONG_LESS_CHANCE),
        estimated(WRONG_TO_RIGHT_LESS_CHANCE),
    )


# Showing.


def _flat(row: Compared) -> dict[str, Any]:
    flat = asdict(row)
    changed = flat.pop("changed") or {}
    for name, value in changed.items():
        if isinstance(value, tuple):
            flat |= dict(zip((name, f"{name}_low", f"{name}_high"), value, strict=True))
        else:
            flat[name] = value
    return flat


def _said(found: Comparison) -> list[str]:
    lines = [f"A  {found.a}", f"B  {found.b}"]
    for which, only in (("A", found.only_a), ("B", found.only_b)):
        lines += [f"{count} items of {task} are in {which} only, and left out" for task, count in only.items()]
    lines += [*found.notes, ""]
    head = ["task", "metric", "n", "A", "B", "B - A", "95 % interval", "p", "p (Holm)", "detectable"]
    table = [head, *map(_cells, found.rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    for number, cells in enumerate(table):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        row = found.rows[number - 1] if number else None
        if row and row.changed:
            lines += [f"    {said}" for said in _changes(row, row.changed)]
    tests = "exact (McNemar)" if all(row.exact for row in found.rows) else "* exact (McNemar)"
    lines += [
        "",
        f"p: two-sided, {tests}; Holm: corrected for {len(found.rows)} rows; detectable: the smallest true difference",
        "that such a test sees with 80 % power. All of it is about the items: another training run would differ, too.",
    ]
    return lines


def _cells(row: Compared) -> list[str]:
    digits = 2 if max(abs(row.a), abs(row.b)) > 1 and row.metric != RESPONSE_NLL else 4
    interval = "-" if math.isnan(row.low) else f"{row.low:.{digits}f} to {row.high:.{digits}f}"
    detectable = "-" if math.isnan(row.detectable) else f"{row.detectable:.{digits}f}"
    p, corrected = ("-" if math.isnan(value) else f"{value:.4f}" for value in (row.p, row.p_holm))
    values = [f"{row.a:.{digits}f}", f"{row.b:.{digits}f}", f"{row.difference:+.{digits}f}"]
    return [row.task, row.metric, str(row.n), *values, interval, p + "*" * row.exact, corrected, detectable]


def _changes(row: Compared, changed: Changed) -> list[str]:
    lines = []
    for name, count, less in (
        ("right to wrong", changed.right_to_wrong, changed.right_to_wrong_less_chance),
        ("wrong to right", changed.wrong_to_right, changed.wrong_to_right_less_chance),
    ):
        value, low, high = (100 * part for part in less)
        chance = f"less chance ({changed.chance:.3g}) " if changed.chance else ""
        bounds = "" if math.isnan(low) else f" ({low:.1f} to {high:.1f})"
        lines.append(f"{name}: {count} of {row.n} items, {chance}{value:.1f} %{bounds}")
    return lines
