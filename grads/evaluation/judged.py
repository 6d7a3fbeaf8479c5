"""Judgements on a study's answers, checked as a whole, and their mean over the items of each cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grads.config.evaluation import Judgements
from grads.data.judgements import Judgement, parse_judgement
from grads.data.records.rows import read_rows
from grads.evaluation.metrics.compute import answer_groups
from grads.evaluation.metrics.contract import Setting
from grads.evaluation.metrics.verdict import METRIC
from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import atomic_path, digest, iterate_jsonl, reading, sha256_file, write_json
from grads.runtime.progress import say
from grads.study.contents import own_files
from grads.study.paths import judgements_file

SHOWN = 20
"""Mistakes of a file that are named; the others are counted."""

Answers = dict[str, dict[str, Any]]
"""Of one cell, by id: `prediction`, and `group` where there is one."""


def write_judgements(settings: Judgements, predictions: Mapping[str, Path], out: Path) -> None:
    """Write the metric `verdict` of each cell to a file of its own below the folder `out`, in the form of metrics.json.

    Args:
        settings: the file of judgements, and their range.
        predictions: by cell, its answers; each of them must have one.
        out: folder of the results.

    Raises:
        GradsError: all that is wrong with the file (the first SHOWN mistakes): rows that cannot be read, on cells or
            records that are not there or on other answers than these, two on one answer, and answers without one.
    """
    answers = {cell: _answers(path) for cell, path in predictions.items()}
    found = _checked(settings, predictions, answers)
    signature = _signature(settings)
    with atomic_path(out) as folder:
        for cell, known in answers.items():
            rows = [row | {METRIC.name: found[cell][id_].share} for id_, row in known.items()]
            result = METRIC.compute(rows, Setting()) | {"signature": signature}
            write_json(judgements_file(folder, cell), {METRIC.name: result, **answer_groups(rows)})
    say(f"judgements: {sum(map(len, found.values()))} on the answers of {len(answers)} cells")


def _answers(path: Path) -> Answers:
    answers: Answers = {}
    for row in iterate_jsonl(path):
        with reading(path):
            answers[row["id"]] = {name: row[name] for name in ("prediction", "group") if name in row}
    return answers


def _checked(
    settings: Judgements, predictions: Mapping[str, Path], answers: Mapping[str, Answers]
) -> dict[str, dict[str, Judgement]]:
    """Return the judgements by cell and id, one for each answer."""
    found: dict[str, dict[str, Judgement]] = {cell: {} for cell in answers}
    problems: list[str] = []
    wrong = 0
    for place, row in read_rows(settings.path):
        try:
            one = parse_judgement(place, row, settings)
            _check_answer(one, predictions, answers, found)
        except GradsError as error:
            wrong += 1
            problems += error.sentences if wrong <= SHOWN else ()
        else:
            found[one.cell][one.id] = one
    # What is missing may be what could not be read.
    if not wrong:
        lacking = {cell: missing for cell in answers if (missing := answers[cell].keys() - found[cell].keys())}
        wrong = len(lacking)
        problems = [
            f"{settings.path} has no judgement on {len(missing)} of the {len(answers[cell])} answers in "
            f"{predictions[cell]}, such as that to {min(missing)}: judge them, too"
            for cell, missing in list(lacking.items())[:SHOWN]
        ]
    if wrong > SHOWN:
        problems.append(f"{settings.path}: {wrong - SHOWN} more mistakes are not named: correct these first")
    if problems:
        raise GradsError(*problems)
    return found


def _check_answer(
    one: Judgement,
    predictions: Mapping[str, Path],
    answers: Mapping[str, Answers],
    found: Mapping[str, Mapping[str, Judgement]],
) -> None:
    """Refuse a judgement on what is no answer of the study, on another answer than the study's, or a second one."""
    if one.cell not in answers:
        raise GradsError(f"{one.place}: '{one.cell}' is no cell of this study: {nearest(one.cell, answers)}")
    path = predictions[one.cell]
    if one.id not in answers[one.cell]:
        raise GradsError(f"{one.place}: '{one.id}' is no id in {path}: take the ids from there")
    if one.prediction != answers[one.cell][one.id]["prediction"]:
        raise GradsError(
            f"{one.place}: the prediction is not the answer to {one.id} in {path}: judge that one, for this "
            "judgement is on another"
        )
    if one.id in found[one.cell]:
        raise GradsError(
            f"{one.place}: the answer to {one.id} of {one.cell} has a judgement at {found[one.cell][one.id].place} "
            "already: remove one"
        )


def _signature(settings: Judgements) -> str:
    """Return who judged on which scale, and a hash of what the file holds."""
    by = [f"by:{settings.by}"] if settings.by else []
    held = digest([sha256_file(file) for file in own_files(settings.path)], 12)
    return "|".join([*by, f"worst:{settings.worst:g}", f"best:{settings.best:g}", f"sha256:{held}"])
