"""Counting what the general part of an evaluation asks of a model, by asking one without weights.

Prompts, few-shot examples, choices and batches are made by the code that evaluates; only the passes are left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from grads.config.models import Format
from grads.data.passes import Lengths
from grads.data.records.formatting import without_end_token
from grads.evaluation.benchmarks import LoadedTask, ask, in_form
from grads.evaluation.drift import text_ids
from grads.evaluation.lm_eval_model import BenchmarkModel, Choice, together
from grads.evaluation.requests import General, Requests
from grads.models.load import load_tokenizer
from grads.runtime.files import read_jsonl, reading


class CountingModel(BenchmarkModel):
    """Notes the lengths of what it is asked, and answers nothing.

    Attributes:
        choices: tokens of each row that would be scored.
        questions: tokens of each question that would be answered.
        answer: most tokens of an answer.
    """

    choices: list[int]
    questions: list[int]
    answer: int

    def begin(self) -> None:
        """Forget what was counted before."""
        self.choices = []
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
        return [(0.0, False)] * len(requests)

    def _model_generate(self, context: torch.Tensor, max_length: int, **keywords: Any) -> torch.Tensor:
        self.questions += keywords["attention_mask"].sum(1).tolist()
        self.answer = max(self.answer, max_length - context.shape[1])
        return torch.cat([context, context.new_full((len(context), 1), self.eot_token_id)], dim=1)


def count_general(
    folder: Path,
    form: Format,
    tasks: Mapping[str, LoadedTask],
    batch_size: int,
    texts: Path,
    text_tokens: int,
) -> General:
    """Return what benchmarks and general text ask of a model.

    Args:
        folder: the prepared model, of which config and tokenizer are read.
        form: the model's prompt format.
        tasks: from `load_tasks`.
        batch_size: choices in one batch.
        texts: JSON lines `{"text"}` of general text.
        text_tokens: tokens taken from the head of each text.

    Raises:
        GradsError: see `run_tasks`, and `text_ids`.
    """
    tokenizer = load_tokenizer(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(folder), local_files_only=True))
    counting = CountingModel(model, without_end_token(tokenizer), batch_size)
    benchmark = in_form(counting, tokenizer, tasks, form)
    found = {}
    for name, task in tasks.items():
        benchmark.begin()
        results = ask(benchmark, name, task, f"plan, {name}")
        items = sum(len(samples) for samples in results["samples"].values())
        choices = Lengths.of(benchmark.choices)
        found[name] = Requests(items, choices, Lengths.of(benchmark.questions), benchmark.answer)
    rows = read_jsonl(texts)
    with reading(texts):
        passages = [row["text"] for row in rows]
        lengths = Lengths.of(map(len, text_ids(tokenizer, passages, text_tokens)))
    return General(found, lengths)
