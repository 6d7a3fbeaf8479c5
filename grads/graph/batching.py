"""How the engines of evaluation batch what a model reads and writes: counted, without running any.

Of `evaluation.engine: auto` it is taken that the packed engine can run the model.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

from grads.config.evaluation import ROWS, pass_tokens
from grads.config.study import Study
from grads.data.passes import Lengths, Passes, Written, written
from grads.evaluation.requests import Planted, Requests
from grads.graph.known import size_of
from grads.models.footprint import cached_bytes, evaluated_weights, precision
from grads.models.hardware import Device
from grads.models.size import ModelSize


class Batching(Protocol):
    """Passes of a model by an engine."""

    @property
    def budget(self) -> int:
        """Most tokens of a pass."""

    def rows(self, prompts: Lengths, limit: int) -> int:
        """Return how many answers of at most `limit` tokens are written at a time."""

    def read(self, sequences: Lengths) -> Passes:
        """Return the passes over some sequences."""

    def scored(self, task: Requests) -> tuple[Passes, int]:
        """Return the passes over a benchmark's choices, and at how many tokens the LM head is applied after them."""

    def domain_answers(self, prompts: Lengths, answers: Lengths) -> Written:
        """Return the passes of a domain's answers: as many as prompts, of at most `generation.max_new_tokens`."""

    def task_answers(self, task: Requests) -> Written:
        """Return the passes of a benchmark's answers, which are taken to be as long as they may be."""


def batching(study: Study, model: str, device: Device) -> Batching:
    """Return how a model of a study is run on a device."""
    if study.evaluation.engine == "reference":
        return _Plain(study)
    return _Packed(study, size_of(study, model), device)


@dataclass(frozen=True)
class _Plain:
    """The reference engine: padded batches, each of which goes on until its longest answer ends."""

    study: Study

    @property
    def budget(self) -> int:
        return self.study.evaluation.token_budget

    def rows(self, prompts: Lengths, limit: int) -> int:
        batches = prompts.longer(limit).under_budget(self.budget)
        return max(1, round(batches.sequences / max(1, batches.batches)))

    def read(self, sequences: Lengths) -> Passes:
        return sequences.under_budget(self.budget)

    def scored(self, task: Requests) -> tuple[Passes, int]:
        # The LM head is applied to all tokens, in the same passes.
        return task.choices.in_rows(self.study.evaluation.task_batch), 0

    def domain_answers(self, prompts: Lengths, answers: Lengths) -> Written:
        limit = self.study.generation.max_new_tokens
        batches = prompts.longer(limit).under_budget(self.budget)
        prompting = replace(batches, tokens=prompts.tokens, padded=batches.padded - limit * prompts.sequences)
        return _in_step(prompting, answers, math.ceil(answers.longest_of(self.rows(prompts, limit))))

    def task_answers(self, task: Requests) -> Written:
        prompting = task.questions.in_rows(self.study.evaluation.task_batch)
        return _in_step(prompting, all_of(task.answer, task.questions), task.answer)


def _in_step(prompting: Passes, answers: Lengths, steps: int) -> Written:
    """Return the passes of batches of answers that all take so many steps, the first of them with the prompts."""
    more = max(0, steps - 1)
    return Written(
        prompting, Passes(prompting.sequences, answers.tokens, more * prompting.sequences, more * prompting.batches)
    )


@dataclass(frozen=True)
class _Packed:
    """The packed engine: trees of choices, no padding, and the next prompt in the place of an answer that has ended."""

    study: Study
    size: ModelSize | None
    device: Device

    @property
    def budget(self) -> int:
        return pass_tokens(self.study.evaluation.token_budget, self.device.kind)

    def rows(self, prompts: Lengths, limit: int) -> int:
        rows = answer_rows(self.study, self.size, prompts.longest + limit, self.device)
        return max(1, min(rows, prompts.sequences))

    def read(self, sequences: Lengths) -> Passes:
        return sequences.packed(self.budget)

    def scored(self, task: Requests) -> tuple[Passes, int]:
        planted = task.planted.get(self.device.kind, Planted())
        return self.read(planted.trees), planted.predictions

    def domain_answers(self, prompts: Lengths, answers: Lengths) -> Written:
        return written(prompts, answers, self.rows(prompts, self.study.generation.max_new_tokens), self.budget)

    def task_answers(self, task: Requests) -> Written:
        answers = all_of(task.answer, task.questions)
        return written(task.questions, answers, self.rows(task.questions, task.answer), self.budget)


def answer_rows(study: Study, size: ModelSize | None, longest: int, device: Device) -> int:
    """Return how many answers the packed engine writes at a time: as the config says, or as memory has room for.

    That is half of what the weights leave.

    Args:
        study: the study.
        size: the model's, if it is known.
        longest: most tokens of a prompt and its answer.
        device: where.
    """
    if study.evaluation.rows is not None:
        return study.evaluation.rows
    rows = ROWS[device.kind]
    if size is None or device.usable is None:
        return rows
    computed = precision(study.evaluation.precision, device)
    room = (device.usable - evaluated_weights(size, study.training, computed)) / 2
    while rows > 1 and rows * longest * cached_bytes(size, computed) > room:
        rows //= 2
    return rows


def all_of(length: int, sequences: Lengths) -> Lengths:
    """Return the lengths of as many sequences, all of one length."""
    return Lengths.of_counts({length: sequences.sequences} if sequences.sequences else {})
