"""What an evaluation's general part asks of a model, counted. Read while a study is planned: imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass

from grads.data.passes import NO_LENGTHS, Lengths


@dataclass(frozen=True)
class Requests:
    """What a general benchmark asks of a model.

    Attributes:
        items: how many.
        choices: tokens of each choice with its question and the examples in front of it; choices that are scored
            together are one.
        questions: tokens of each question that is answered freely.
        answer: most tokens of such an answer.
    """

    items: int
    choices: Lengths = NO_LENGTHS
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
    items = task.get("items")
    answer = task.get("answer")
    return Requests(
        items=items if isinstance(items, int) else 0,
        choices=_lengths(task, "choices"),
        questions=_lengths(task, "questions"),
        answer=answer if isinstance(answer, int) else 0,
    )


def _lengths(values: Mapping[str, object], name: str) -> Lengths:
    return Lengths.parsed(values.get(name)) or NO_LENGTHS
