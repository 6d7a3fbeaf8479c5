"""Items of general benchmarks whose answer changed when a model was tuned: from right to wrong, and back."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grads.config.study import Study
from grads.report.files import AnswerFiles
from grads.report.rendering.html import Item, explorer
from grads.report.rendering.layout import Block, Entry
from grads.report.statistics.choices import CHOICES, among_choices
from grads.report.statistics.estimates import Run
from grads.runtime.files import iterate_jsonl, read_jsonl, reading
from grads.study.grid import Cell

MOST = 60
"""Most items of a benchmark that are shown on a page."""


@dataclass(frozen=True)
class Answer:
    """What a model answered to an item.

    Attributes:
        correct: whether that is right.
        text: the answer.
        aside: how likely the right choice was to the model, where there are choices.
    """

    correct: bool
    text: str
    aside: str


@dataclass(frozen=True)
class ChangedItem:
    """An item that at least one tuned model answers right where the untuned one does not, or the other way round.

    Attributes:
        task: the benchmark's key in the study.
        question: what was asked, with the passage that it is about.
        right: the right answer.
        untuned: the answer of each model as it came.
        tuned: the answers after each cell's training.
    """

    task: str
    question: str
    right: str
    untuned: Mapping[str, Answer]
    tuned: Mapping[Cell, Answer]

    def changed(self, correct: bool) -> list[Cell]:
        """Return the cells whose model is now right (or wrong, if not `correct`), unlike the untuned one."""
        return [
            cell
            for cell, answer in self.tuned.items()
            if answer.correct == correct and self.untuned[cell.model].correct != correct
        ]


@dataclass(frozen=True)
class Changes:
    """What changed on a benchmark.

    Attributes:
        items: those that changed for most cells, MOST of them at most.
        changed: how many items changed for at least one cell.
        asked: how many items every model was asked.
    """

    items: Sequence[ChangedItem]
    changed: int
    asked: int


def changed_items(study: Study, files: AnswerFiles) -> dict[str, Changes]:
    """Return what changed on each benchmark, by its key, under the study's first seed.

    Benchmarks whose items may be right in part are left out, and so are models without the answers of the untuned one.

    Raises:
        GradsError: a file is damaged.
    """
    correct = {cell: _correct(path) for cell, path in files.documents.items()}
    untuned = {cell.model: cell for cell in correct if not cell.trained}
    tuned = [cell for cell in correct if cell.trained and cell.model in untuned]
    found = {}
    for task in study.general.tasks:
        known = {cell: correct[cell].get(task, []) for cell in (*untuned.values(), *tuned)}
        asked = min(map(len, known.values()), default=0)
        if not tuned or not asked or not all(_right_or_wrong(answers) for answers in known.values()):
            continue
        counts = {
            place: sum(known[cell][place] != known[untuned[cell.model]][place] for cell in tuned)
            for place in range(asked)
        }
        changed = sorted((place for place in counts if counts[place]), key=lambda place: -counts[place])
        texts = _Texts(files.items[task])
        rows = {cell: _rows(files.documents[cell], task, changed[:MOST]) for cell in known}
        found[task] = Changes(_changed(task, rows, untuned, texts), len(changed), asked)
    return found


def _changed(
    task: str, rows: Mapping[Cell, Mapping[int, Mapping[str, Any]]], untuned: Mapping[str, Cell], texts: "_Texts"
) -> list[ChangedItem]:
    """Return items of a benchmark with all answers to them, given the rows of each cell, by place."""
    answers = {cell: _answers(mine, texts) for cell, mine in rows.items()}
    return [
        ChangedItem(
            task,
            texts.question(row, place),
            texts.right(row, place),
            {model: answers[cell][place] for model, cell in untuned.items()},
            {cell: one[place] for cell, one in answers.items() if cell.trained},
        )
        for place, row in next(iter(rows.values())).items()
    ]


def changes_section(study: Study, found: Mapping[str, Changes]) -> str:
    """Return a sentence on how many items changed, and those items, as HTML."""
    counts = [
        f"{study.general.tasks[task].title} {one.changed} of {one.asked}"
        + (f" (the {MOST} that changed for most arms are shown)" if one.changed > MOST else "")
        for task, one in found.items()
    ]
    items = [_item(study, one) for changes in found.values() for one in changes.items]
    arms = list(dict.fromkeys(_arm(cell) for changes in found.values() for one in changes.items for cell in one.tuned))
    said = (
        "Items that the untuned model answers right and a tuned one wrong, or the other way round, under the study's "
        "first seed. Guessing changes answers both ways, too: the table of transitions takes that off. "
        f"Changed for at least one arm: {', '.join(counts)}."
    )
    return f"<p>{html.escape(said)}</p>\n{explorer(items, arms) if items else ''}"


def _item(study: Study, one: ChangedItem) -> Item:
    blocks = [Block("", [[Entry("right answer"), Entry(one.right, prose=True), Entry("")]])]
    lost = one.changed(False)
    gained = one.changed(True)
    for model, before in one.untuned.items():
        rows = [[Entry("untuned"), Entry(before.text, prose=True), Entry(_said(before.correct), before.aside)]]
        for cell, answer in one.tuned.items():
            if cell.model == model:
                change = "right \u2192 wrong" if cell in lost else "wrong \u2192 right" if cell in gained else ""
                state = Entry(change or _said(answer.correct), answer.aside, place=int(bool(change)))
                rows.append([Entry(_arm(cell)), Entry(answer.text, prose=True), state])
        blocks.append(Block(study.models[model].title, rows))
    title = study.general.tasks[one.task].title
    return Item(one.question, blocks, 1, title, _arms(lost), _arms(gained))


def _arms(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(map(_arm, cells)))


def _arm(cell: Cell) -> str:
    return Run(cell.arm, cell.ratio).title


def _said(correct: bool) -> str:
    return "right" if correct else "wrong"


def _correct(path: Path) -> dict[str, list[float]]:
    """Return of each benchmark which items a model answered right: no more, for items may be many."""
    found: dict[str, list[float]] = {}
    for row in iterate_jsonl(path):
        with reading(path):
            found.setdefault(row["benchmark"], []).append(float(row["correct"]))
    return found


def _rows(path: Path, task: str, places: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the rows of some items of a benchmark, in the order of `places`."""
    mine = (row for row in iterate_jsonl(path) if row.get("benchmark") == task)
    wanted = set(places)
    found = {place: row for place, row in enumerate(mine) if place in wanted}
    return {place: found[place] for place in places}


def _right_or_wrong(answers: Sequence[float]) -> bool:
    return all(one in (0.0, 1.0) for one in answers)


def _answers(rows: Mapping[int, Mapping[str, Any]], texts: "_Texts") -> dict[int, Answer]:
    """Return the answers of a model to some items of a benchmark, by place."""
    if not rows or not all(CHOICES in row for row in rows.values()):
        return {place: Answer(bool(row["correct"]), str(row.get("response", "")), "") for place, row in rows.items()}
    chances = np.exp(among_choices(list(rows.values())))
    found = {}
    for (place, row), likely in zip(rows.items(), chances, strict=True):
        aside = f"p(right) {likely[row['gold']]:.2f}"
        found[place] = Answer(bool(row["correct"]), texts.choice(row, place, int(likely.argmax())), aside)
    return found


class _Texts:
    """The words of a benchmark's items: our own files have the choices, those known by name the right answer alone."""

    def __init__(self, path: Path) -> None:
        self._rows: list[dict[str, Any]] = read_jsonl(path)
        self._by_id = {(row["task"], row["doc_id"]): row for row in self._rows if "doc_id" in row}

    def _row(self, row: Mapping[str, Any], place: int) -> dict[str, Any]:
        if self._by_id:
            # A benchmark of one task does not say on each item which task it is of.
            (first, *_) = self._by_id
            return self._by_id.get((row.get("task", first[0]), row["doc_id"]), {})
        return self._rows[place] if place < len(self._rows) else {}

    def question(self, row: Mapping[str, Any], place: int) -> str:
        """Return what an item asks."""
        found = self._row(row, place)
        return "\n".join(str(found[key]) for key in ("passage", "question") if found.get(key)) or f"item {place + 1}"

    def choice(self, row: Mapping[str, Any], place: int, number: int) -> str:
        """Return the text of one of an item's choices, or its number where only that is known."""
        choices = self._row(row, place).get("choices", [])
        if number < len(choices):
            return str(choices[number])
        return self.right(row, place) if number == row["gold"] else f"choice {number + 1}"

    def right(self, row: Mapping[str, Any], place: int) -> str:
        """Return the right answer."""
        found = self._row(row, place)
        choices = found.get("choices", [])
        if "gold" in row and row["gold"] < len(choices):
            return str(choices[row["gold"]])
        return str(found.get("answer", row.get("target", "")))
