"""Judgements: what a person or another model says of a study's answers, a row an answer."""

import math
import re
from dataclasses import dataclass
from typing import Any

from grads.config.evaluation import Judgements
from grads.runtime.errors import GradsError, quoted

TEXTS = ("cell", "id", "prediction")
VERDICT = "verdict"
# As CSV files have numbers, which are texts there.
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement on one answer.

    Attributes:
        place: where it stands, for errors.
        cell: whose answer, as its folder is called below `runs`.
        id: of the test record that was asked.
        prediction: the answer that was judged.
        share: of the way from the worst judgement that there is (0) to the best (1).
    """

    place: str
    cell: str
    id: str
    prediction: str
    share: float


def parse_judgement(place: str, row: dict[str, Any], settings: Judgements) -> Judgement:
    """Return the judgement of a row of a file.

    Raises:
        GradsError: a field is not there or no text, or the judgement is no number from the worst to the best.
    """
    missing = [name for name in (*TEXTS, VERDICT) if row.get(name) is None]
    if missing:
        raise GradsError(
            f"{place}: there is no '{missing[0]}': a row is that of predictions.jsonl (id, prediction), with the cell "
            "and the verdict"
        )
    for name in TEXTS:
        if not isinstance(row[name], str):
            raise GradsError(
                f"{place}: '{name}' is {quoted(row[name])}, no text: write it as it is in predictions.jsonl"
            )
    return Judgement(place, row["cell"], row["id"], row["prediction"], _share(place, row[VERDICT], settings))


def _share(place: str, value: Any, settings: Judgements) -> float:
    low, high = sorted((settings.worst, settings.best))
    between = f"write a number from {low:g} to {high:g}"
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise GradsError(f"{place}: '{VERDICT}' is {quoted(value)}, no number: {between}")
    if not low <= value <= high:
        raise GradsError(
            f"{place}: '{VERDICT}' is {value:g}: {between}, or correct 'worst' and 'best' of evaluation.verdicts"
        )
    return (value - settings.worst) / (settings.best - settings.worst)
