"""General benchmarks through lm-eval, on a model in memory and tasks in local files."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
from lm_eval import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import Collator
from lm_eval.tasks import TaskManager
from lm_eval.utils import hash_string
from torch import nn

from grads.evaluate.inference import autocast_dtype, inference
from grads.models.causal import pad_right, unwrap
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress


@dataclass(frozen=True)
class TaskSpec:
    """A benchmark to run: a prepared lm-eval task file, its prompts' form, and the metric that tables show."""

    yaml: Path
    form: Literal["plain", "chat"]
    metric: str


@dataclass(frozen=True)
class LoadedTask:
    """A task with its data read, ready to be run on any number of models."""

    spec: TaskSpec
    loaded: dict[str, Any]


class BenchmarkModel(HFLM):
    """lm-eval's model, with float32 log-probabilities taken at the continuations' positions only.

    Batches and forward passes are lm-eval's own, so with the same threads the numbers are too, to the last bit. (Its
    command line batches the requests of all its tasks together: to compare, give it one task at a time.) Left out is
    the softmax over the vocabulary at the positions of prompts and padding, which costs up to as much as the rest.
    """

    progress: Progress

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Return log-probability and greediness of each request's continuation, reporting to `progress`."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = True, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        collator = Collator(
            requests,
            sort_fn=lambda request: (-len(request[1] + request[2]), tuple(request[1] + request[2])),
            group_by="contexts",
            group_fn=lambda request: request[1] + request[2][:-1],
        )
        answers: list[tuple[float, bool]] = []
        for chunk in collator.get_batched(n=self.batch_size):
            self._check_room(max(len(continuation) for _, _, continuation in chunk))
            inputs = [(context + continuation)[-(self.max_length + 1) : -1] for _, context, continuation in chunk]
            logits = self._model_call(pad_right(inputs, 0).to(self.device))
            for (text, context, continuation), row, ids in zip(chunk, logits, inputs, strict=True):
                rows = row[len(ids) - len(continuation) : len(ids)].log_softmax(-1, dtype=torch.float32)
                # Continuations of one token after one context share a row: the collator hands them out together.
                for _, tokens, found in collator.get_cache(text, context, continuation, rows.unsqueeze(0)):
                    answers.append(_score(found[0, -len(tokens) :], tokens))
                    self.progress.advance()
        return collator.get_original(answers)

    def _check_room(self, longest: int) -> None:
        # A context is cut on the left to make room; a choice has to be whole.
        if longest > self.max_length:
            raise GradsError(
                f"{self.progress.label}: a choice has {longest} tokens, but the model has room for {self.max_length}: "
                "leave such items out of the task's data"
            )


def _score(log_probabilities: torch.Tensor, tokens: list[int]) -> tuple[float, bool]:
    wanted = torch.tensor(tokens, device=log_probabilities.device)
    total = log_probabilities.gather(1, wanted.unsqueeze(1)).sum().item()
    return total, bool((log_probabilities.argmax(-1) == wanted).all())


@contextmanager
def load_tasks(specs: Mapping[str, TaskSpec]) -> Iterator[dict[str, LoadedTask]]:
    """Read the tasks of `specs`, by their names in the study, for use inside the block.

    The data library's cache lies in a temporary folder for that long, instead of in the user's home.

    Raises:
        GradsError: a task file cannot be read, or holds more than one task.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    manager = TaskManager(include_defaults=False)
    stored = datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory(prefix="grads-tasks-") as cache:
        datasets.config.HF_DATASETS_CACHE = Path(cache)
        try:
            yield {name: LoadedTask(spec, _load(manager, spec.yaml)) for name, spec in specs.items()}
        finally:
            datasets.config.HF_DATASETS_CACHE = stored


def _load(manager: TaskManager, path: Path) -> dict[str, Any]:
    try:
        loaded = manager.load([str(path)])
    except (KeyError, ValueError, OSError, datasets.exceptions.DatasetGenerationError) as error:
        raise GradsError(f"{path}: lm-eval cannot load this task ({error}); mend the file or its data") from error
    if len(loaded["tasks"]) != 1:
        raise GradsError(f"{path}: holds {len(loaded['tasks'])} tasks; give each its own file")
    return loaded


def run_tasks(
    model: nn.Module, tokenizer: Any, tasks: Mapping[str, LoadedTask], batch_size: int, label: str
) -> dict[str, dict[str, Any]]:
    """Run multiple-choice tasks on a model in memory.

    Args:
        model: a causal language model in evaluation mode, with or without adapters.
        tokenizer: its tokenizer; tasks of form `chat` use its chat template.
        tasks: from `load_tasks`.
        batch_size: sequences in one forward pass. Fixed: rounding in bf16 depends on it, and other batches were seen
            to move a choice's log-probability by some 0.3 nats, and by 1.2 at most.
        label: what progress lines call this model.

    Returns:
        For each task: `metric`, its `value`, `n`, `gold_logprob` (mean log-probability of the right choice in nats),
        `form`, `shots`, `version`, `hash` (lm-eval's task hash over items and prompts), and `items` with `doc_id`,
        `correct` (the metric, per item), `gold_logprob` and `choice_logprobs`.

    Raises:
        GradsError: a task is not multiple-choice, lacks its metric, or `chat` is asked of a tokenizer without template.
    """
    chosen = autocast_dtype(model)
    with inference(model):
        benchmark = BenchmarkModel(
            pretrained=unwrap(model),
            tokenizer=tokenizer,
            batch_size=batch_size,
            softmax_dtype="float32",
            mixed_precision_dtype=None if chosen is None else str(chosen).removeprefix("torch."),
        )
        return {name: _run(benchmark, name, task, f"{label}, {name}") for name, task in tasks.items()}


def _run(benchmark: BenchmarkModel, name: str, task: LoadedTask, label: str) -> dict[str, Any]:
    spec = task.spec
    (definition,) = task.loaded["tasks"].values()
    if definition.OUTPUT_TYPE != "multiple_choice":
        raise GradsError(f"{spec.yaml}: output_type is '{definition.OUTPUT_TYPE}'; only 'multiple_choice' is supported")
    if spec.form == "chat" and not benchmark.tokenizer.chat_template:
        raise GradsError(f"general.tasks.{name}.form is 'chat', but the model has no chat template: set it to 'plain'")
    choices = sum(len(definition.doc_to_choice(doc)) for doc in definition.eval_docs)
    benchmark.progress = Progress(label, choices, "choices")
    results = evaluate(benchmark, task.loaded, bootstrap_iters=0, apply_chat_template=spec.form == "chat")
    (samples,) = results["samples"].values()
    if spec.metric not in samples[0]:
        raise GradsError(f"general.tasks.{name}.metric is '{spec.metric}': {spec.yaml} does not list it; add it there")
    return _summary(spec, definition, samples)


def _summary(spec: TaskSpec, definition: Any, samples: list[dict[str, Any]]) -> dict[str, Any]:
    samples = sorted(samples, key=lambda sample: sample["doc_id"])
    items = [_item(spec, sample) for sample in samples]
    hashes = "".join(sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"] for sample in samples)
    return {
        "metric": spec.metric,
        "value": sum(item["correct"] for item in items) / len(items),
        "n": len(items),
        "gold_logprob": sum(item["gold_logprob"] for item in items) / len(items),
        "form": spec.form,
        "shots": definition.config.num_fewshot or 0,
        "version": definition.VERSION,
        "hash": hash_string(hashes),
        "items": items,
    }


def _item(spec: TaskSpec, sample: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(sample["target"], int):
        raise GradsError(
            f"{spec.yaml}: doc_to_target gives {sample['target']!r}: make it the index of the right choice"
        )
    log_probabilities = [response[0] for response in sample["filtered_resps"]]
    return {
        "doc_id": sample["doc_id"],
        "correct": sample[spec.metric],
        "gold_logprob": log_probabilities[sample["target"]],
        "choice_logprobs": log_probabilities,
    }
