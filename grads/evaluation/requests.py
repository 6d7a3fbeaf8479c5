"""What an evaluation's general part asks of a model, counted. Read while a study is planned: imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from grads.data.passes import NO_LENGTHS, Lengths


@dataclass(frozen=True)
class Planted:
    """The choices of a benchmark as trees (`grads.evaluation.engines.trees`).

    Attributes:
        trees: tokens of each.
        predictions: at how many of them the LM head is applied.
    """

    trees: Lengths = NO_LENGTHS
    predictions: int = 0


@dataclass(frozen=True)
class Requests:
    """What a general benchmark asks of a model.

    Attributes:
        items: how many.
        choices: tokens of each choice with its question and the examples in front of it; choices that are scored
            together are one.
        planted: the same as trees, by the kind of device, which says how large they are.
        questions: tokens of each question that is answered freely.
        answer: most tokens of such an answer.
    """

    items: int
    choices: Lengths = NO_LENGTHS
    planted: Mapping[str, Planted] = field(default_factory=dict)
    questions: Lengths = NO_LENGTHS
    answer: int = 0


@dataclass(frozen=True)
class General:
    """What the general part of an evaluation reads: benchmarks by name, and tokens of each text."""

    tasks: Mapping[str, Requests]
    texts: Lengths

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        tasks = {
            name: {
                "items": task.items,
                "choices": task.choices.as_json(),
                "planted": {
                    kind: {"trees": one.trees.as_json(), "predictions": one.predictions}
                    for kind, one in task.planted.items()
                },
                "questions": task.questions.as_json(),
                "answer": task.answer,
            }
            for name, task in self.tasks.items()
        }
        return {"tasks": tasks, "texts": self.texts.as_json()}


def parse_general(stored: Mapping[str, object]) -> General:
    """Return what `General.as_json` made."""
    tasks = stored.get("tasks")
    found = {str(name): _parse_task(task) for name, task in (tasks.items() if isinstance(tasks, Mapping) else ())}
    return General(found, _lengths(stored, "texts"))


def _parse_task(task: Mapping[str, object]) -> Requests:
    planted = task.get("planted")
    return Requests(
        items=_number(task, "items"),
        choices=_lengths(task, "choices"),
        planted={
            str(kind): Planted(_lengths(one, "trees"), _number(one, "predictions"))
            for kind, one in (planted.items() if isinstance(planted, Mapping) else ())
        },
        questions=_lengths(task, "questions"),
        answer=_number(task, "answer"),
    )


def _number(values: Mapping[str, object], name: str) -> int:
    found = values.get(name)
    return found if isinstance(found, int) else 0


def _lengths(values: Mapping[str, object], name: str) -> Lengths:
    return Lengths.parsed(values.get(name)) or NO_LENGTHS
