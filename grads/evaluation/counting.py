"""Counting what the general part of an evaluation asks of a model, by asking one without weights.

Prompts, few-shot examples, choices and batches are made by the code that evaluates; only the passes are left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from grads.config.evaluation import ROWS, Evaluation, pass_tokens
from grads.config.models import Format
from grads.data.passes import Lengths
from grads.data.records.formatting import without_end_token
from grads.evaluation.benchmarks import LoadedTask, ask, in_form
from grads.evaluation.drift import text_ids
from grads.evaluation.engines.contract import Continuation
from grads.evaluation.engines.trees import plant
from grads.evaluation.lm_eval_model import BenchmarkModel, Choice, together
from grads.evaluation.requests import General, Planted, Requests
from grads.models.load import load_tokenizer
from grads.runtime.files import read_jsonl, reading


class CountingModel(BenchmarkModel):
    """Notes the lengths of what it is asked, and answers nothing.

    Attributes:
        choices: tokens of each row that would be scored.
        asked: what would be scored.
        questions: tokens of each question that would be answered.
        answer: most tokens of an answer.
    """

    choices: list[int]
    asked: list[Continuation]
    questions: list[int]
    answer: int

    def begin(self) -> None:
        """Forget what was counted before."""
        self.choices = []
        self.asked = []
        self.questions = []
        self.answer = 0

    @property
    def device(self) -> torch.device:
        """Where ids are put: the model itself is nowhere."""
        return torch.device("cpu")

    def _loglikelihood_tokens(
        self, requests: Sequence[Choice], disable_tqdm: bool = True, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        for chunk in together(requests).get_batched(n=self.batch_size):
            self.choices += map(len, self.rows(chunk))
        self.asked += self.continuations(requests)
        return [(0.0, False)] * len(requests)

    def _model_generate(self, context: torch.Tensor, max_length: int, **keywords: Any) -> torch.Tensor:
        self.questions += keywords["attention_mask"].sum(1).tolist()
        self.answer = max(self.answer, max_length - context.shape[1])
        return torch.cat([context, context.new_full((len(context), 1), self.eot_token_id)], dim=1)


def count_general(
    folder: Path,
    form: Format,
    tasks: Mapping[str, LoadedTask],
    evaluation: Evaluation,
    texts: Path,
    text_tokens: int,
) -> General:
    """Return what benchmarks and general text ask of a model.

    Args:
        folder: the prepared model, of which config and tokenizer are read.
        form: the model's prompt format.
        tasks: from `load_tasks`.
        evaluation: the config's section, for its batches.
        texts: JSON lines `{"text"}` of general text.
        text_tokens: tokens taken from the head of each text.

    Raises:
        GradsError: see `run_tasks`, and `text_ids`.
    """
    tokenizer = load_tokenizer(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(folder), local_files_only=True))
    counting = CountingModel(model, without_end_token(tokenizer), evaluation.task_batch)
    benchmark = in_form(counting, tokenizer, tasks, form)
    found = {}
    for name, task in tasks.items():
        benchmark.begin()
        results = ask(benchmark, name, task, f"plan, {name}")
        items = sum(len(samples) for samples in results["samples"].values())
        found[name] = Requests(
            items=items,
            choices=Lengths.of(benchmark.choices),
            planted={kind: _planted(benchmark.asked, pass_tokens(evaluation.token_budget, kind)) for kind in ROWS},
            questions=Lengths.of(benchmark.questions),
            answer=benchmark.answer,
        )
    rows = read_jsonl(texts)
    with reading(texts):
        passages = [row["text"] for row in rows]
        lengths = Lengths.of(map(len, text_ids(tokenizer, passages, text_tokens)))
    return General(found, lengths)


def _planted(asked: Sequence[Continuation], largest: int) -> Planted:
    """Return the trees of choices, and at how many of their tokens the LM head is applied."""
    trees = plant({number: one.sequence for number, one in enumerate(asked) if one.tokens}, largest)
    ends = [
        {end for number, path in tree.paths.items() for end in path[-len(asked[number].tokens) :]} for tree in trees
    ]
    return Planted(Lengths.of(len(tree.tokens) for tree in trees), sum(map(len, ends)))
