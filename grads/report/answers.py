"""Answers side by side: what every run says to the same questions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grads.config.study import Study
from grads.data.frames import read_frame
from grads.report.files import AnswerFiles
from grads.report.rendering.html import Item, explorer
from grads.report.rendering.layout import Block, Entry
from grads.report.statistics.estimates import Run
from grads.runtime.errors import GradsError
from grads.runtime.files import iterate_jsonl, reading
from grads.study.grid import Cell
from grads.study.seeds import derive_seed, shuffled_ids

SHOWN = 30
"""Most questions of a domain."""


@dataclass(frozen=True)
class Question:
    """A test record, with what each model and run answers.

    Attributes:
        text: of the question.
        reference: the record's own answer.
        answers: by cell, the answer and whether it was cut at the most tokens that are generated.
    """

    text: str
    reference: str
    answers: dict[Cell, tuple[str, bool]]


def questions(study: Study, domain: str, files: AnswerFiles) -> list[Question]:
    """Return SHOWN questions of a domain's test set, drawn by the study's first seed, and their answers.

    They are drawn from those that every run answers: a model leaves out prompts that fill `training.max_length`.

    Raises:
        GradsError: the runs have no question in common.
    """
    records = read_frame(files.test, ["id", "instruction", "input", "output"]).set_index("id").sort_index()
    answered = {path: {row["id"] for row in _rows(path)} for path in files.predictions.values()}
    common = set(records.index).intersection(*answered.values())
    if not common:
        fewest = min(answered, key=lambda path: len(answered[path]))
        raise GradsError(
            f"no record of the test set of '{domain}' is answered by every run, and {fewest} has the fewest answers "
            f"({len(answered[fewest])}): delete it and run again, or raise training.max_length"
        )
    drawn = shuffled_ids(common, derive_seed(study.seeds[0], "", domain, "answers"))[:SHOWN]
    answers = {
        cell: {row["id"]: row for row in _rows(path) if row["id"] in drawn} for cell, path in files.predictions.items()
    }
    return [
        Question(
            text="\n".join(filter(None, (records.at[id_, "instruction"], records.at[id_, "input"]))),
            reference=records.at[id_, "output"],
            answers={cell: (found[id_]["prediction"], bool(found[id_]["capped"])) for cell, found in answers.items()},
        )
        for id_ in drawn
    ]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of answers one by one, for those of a large study need not all be held."""
    for row in iterate_jsonl(path):
        with reading(path):
            yield {name: row[name] for name in ("id", "prediction", "capped")}


def answers_section(study: Study, found: list[Question]) -> str:
    """Return the questions with their answers as HTML."""
    return explorer([_item(study, one) for one in found])


def _item(study: Study, one: Question) -> Item:
    blocks = [Block("", [[Entry("reference"), Entry(one.reference, prose=True)]])]
    for model, entry in study.models.items():
        rows = [
            [Entry(Run(cell.arm, cell.ratio).title), Entry(answer, "(cut)" if capped else "", prose=True)]
            for cell, (answer, capped) in one.answers.items()
            if cell.model == model
        ]
        blocks.append(Block(entry.title, rows))
    return Item(one.text, blocks)
