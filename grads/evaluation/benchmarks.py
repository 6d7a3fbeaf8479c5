"""General benchmarks through lm-eval, on a model in memory and tasks in local files."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import datasets
import jinja2
import lm_eval.utils
import yaml
from lm_eval import evaluate
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.tasks import TaskManager
from lm_eval.utils import hash_string

from grads.config.jinja import Sandbox
from grads.config.models import Format
from grads.config.task_file import METRICS
from grads.data.records.formatting import Formatter, without_end_token
from grads.data.sources.named_tasks import load_harness, loading_seeds, temporary_cache
from grads.evaluation.documents import Place, find_items
from grads.evaluation.engines.contract import Engine
from grads.evaluation.inference import inference
from grads.evaluation.lm_eval_model import BenchmarkModel, harness_of
from grads.runtime.errors import GradsError
from grads.runtime.files import read_jsonl, reading
from grads.runtime.progress import Progress

AnyBenchmark = TypeVar("AnyBenchmark", bound=BenchmarkModel)
# What lm-eval raises for a file that it cannot use, or whose data it cannot read.
WRONG_FILE = (
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError, RuntimeError, OSError),
    *(ImportError, SyntaxError, yaml.YAMLError, jinja2.TemplateError, datasets.exceptions.DatasetGenerationError),
)


@dataclass(frozen=True)
class TaskSpec:
    """A benchmark to run.

    Attributes:
        yaml: a prepared lm-eval task file, or the folder of a benchmark that lm-eval knows by name.
        form: of its prompts.
        metric: what tables show, with its filter where there are some, as `exact_match,strict-match`.
        sample: of a benchmark known by name, the items that are asked, as JSON lines `{task, doc_id}`.
        few_shot: of a benchmark known by name, examples in front of each question; None for its own number.
        seed: draws those examples, in the same way for every model.
        allow_code: whether code that the model writes may be run.
        group: field of an item that several may have in common; their passage where None.
    """

    yaml: Path
    form: Literal["plain", "chat"]
    metric: str
    sample: Path | None = None
    few_shot: int | None = None
    seed: int = 0
    allow_code: bool = False
    group: str | None = None


@dataclass(frozen=True)
class LoadedTask:
    """A task with its data read, ready to be run on any number of models; `chosen` items by lm-eval's task, or all."""

    spec: TaskSpec
    loaded: dict[str, Any]
    chosen: dict[str, list[int]] | None = None


@contextmanager
def load_tasks(specs: Mapping[str, TaskSpec]) -> Iterator[dict[str, LoadedTask]]:
    """Read the tasks of `specs`, by their names in the study, for use inside the block.

    The data library's cache lies in a temporary folder for that long, instead of in the user's home.

    Raises:
        GradsError: a task file cannot be read, or holds more than one task.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(include_defaults=False)
    with temporary_cache():
        yield {name: _load(manager, spec) for name, spec in specs.items()}


@contextmanager
def templates_of(spec: TaskSpec) -> Iterator[None]:
    """Fill the templates of somebody's own task file in in a sandbox inside the block, unless its code may be run."""
    stored = lm_eval.utils.env
    if spec.yaml.is_file() and not spec.allow_code:
        lm_eval.utils.env = Sandbox()
    try:
        yield
    finally:
        lm_eval.utils.env = stored


def _load(manager: TaskManager, spec: TaskSpec) -> LoadedTask:
    if spec.sample is not None and spec.yaml.is_dir():
        chosen: dict[str, list[int]] = {}
        for row in read_jsonl(spec.sample):
            with reading(spec.sample):
                chosen.setdefault(row["task"], []).append(row["doc_id"])
        loaded = load_harness(spec.yaml, spec.few_shot, spec.allow_code)
        # lm-eval numbers what it is told to ask in the order of its data.
        return LoadedTask(spec, {"tasks": {name: loaded["tasks"][name] for name in chosen}},
                          {name: sorted(ids) for name, ids in chosen.items()})  # fmt: skip
    try:
        with loading_seeds(), templates_of(spec):
            loaded = dict(manager.load([str(spec.yaml)]))
    except WRONG_FILE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        raise GradsError(f"{spec.yaml}: lm-eval cannot load this task ({reason}); fix the file or its data") from error
    if len(loaded["tasks"]) != 1:
        raise GradsError(f"{spec.yaml}: holds {len(loaded['tasks'])} tasks; give each its own file")
    return LoadedTask(spec, loaded)


def run_tasks(
    engine: Engine,
    tokenizer: Any,
    tasks: Mapping[str, LoadedTask],
    label: str,
    form: Format | None = None,
) -> dict[str, dict[str, Any]]:
    """Run benchmarks on a model in memory; answers that are written freely are decoded greedily.

    Args:
        engine: runs the model.
        tokenizer: its tokenizer; tasks of form `chat` use its chat template.
        tasks: from `load_tasks`.
        label: what progress lines call this model.
        form: how the model's prompts are written; tasks of form `chat` follow it (a `plain` one has no say in them).

    Returns:
        For each task: `metric`, its `value` (mean over items), `n`, `gold_logprob` (mean log-probability of the right
        choice or continuation in nats; not of answers that are written freely), `form`, `shots`, `seed` (of few-shot
        examples), `version`, `hash` (over items, prompts and targets; of a task with one filter it is lm-eval's own),
        and `items` as `find_items` returns.

    Raises:
        GradsError: a task is of a kind that is not supported, lacks its metric, has no number for each item, leaves no
            room for answers, or `chat` is asked of a tokenizer without template.
    """
    with inference(engine.model):
        benchmark = in_form(harness_of(engine, without_end_token(tokenizer)), tokenizer, tasks, form)
        return {name: _run(benchmark, name, task, f"{label}, {name}") for name, task in tasks.items()}


def in_form(
    benchmark: AnyBenchmark, tokenizer: Any, tasks: Mapping[str, LoadedTask], form: Format | None
) -> AnyBenchmark:
    """Return lm-eval's model with what tasks in chat form need; see `run_tasks`."""
    if tokenizer.chat_template and any(task.spec.form == "chat" for task in tasks.values()):
        chat = form if form is not None and form.template == "chat" else Format()
        benchmark.formatter = Formatter(tokenizer, chat)
        benchmark.chat_template_args = chat.template_arguments
    return benchmark


def _run(benchmark: BenchmarkModel, name: str, task: LoadedTask, label: str) -> dict[str, Any]:
    results = ask(benchmark, name, task, label)
    spec = task.spec
    with _readable(spec):
        return _summary(Place(name, spec.yaml, spec.metric, spec.group), spec, task.loaded["tasks"], results)


@contextmanager
def _readable(spec: TaskSpec) -> Iterator[None]:
    """Fill a task file's templates in inside the block; one that fails is a sentence."""
    try:
        with templates_of(spec):
            yield
    except jinja2.TemplateError as error:
        raise GradsError(
            f"{spec.yaml}: a template fails ({type(error).__name__}: {error}): correct it, or the items"
        ) from None


def ask(benchmark: BenchmarkModel, name: str, task: LoadedTask, label: str) -> Mapping[str, Any]:
    """Ask a model all that a benchmark asks, and return what lm-eval says of it.

    Args:
        benchmark: the model.
        name: the benchmark's in the study.
        task: the benchmark.
        label: what progress lines call the model.

    Raises:
        GradsError: see `run_tasks`.
    """
    spec = task.spec
    definitions = task.loaded["tasks"]
    for definition in definitions.values():
        _settle(benchmark, spec, definition)
    if spec.form == "chat" and not benchmark.tokenizer.chat_template:
        raise GradsError(f"general.tasks.{name}.form is 'chat', but the model has no chat template: set it to 'plain'")
    with _readable(spec):
        requests = sum(_requests(definition, (task.chosen or {}).get(key)) for key, definition in definitions.items())
        benchmark.progress = Progress(label, requests, "requests")
        results: Mapping[str, Any] = evaluate(
            benchmark,
            {"tasks": definitions},
            samples=task.chosen,
            bootstrap_iters=0,
            apply_chat_template=spec.form == "chat",
            fewshot_as_multiturn=spec.form == "chat",
            confirm_run_unsafe_code=spec.allow_code,
        )
    return results


def _settle(benchmark: BenchmarkModel, spec: TaskSpec, definition: Any) -> None:
    """Make a task the same for every model: few-shot examples drawn by the seed, greedy answers with room for them."""
    if definition.OUTPUT_TYPE not in METRICS:
        raise GradsError(f"{spec.yaml}: output_type is '{definition.OUTPUT_TYPE}'; supported are {', '.join(METRICS)}")
    definition.set_fewshot_seed(spec.seed)
    if definition.OUTPUT_TYPE == "generate_until":
        # A task may call the limit of its answers by any of the names that lm-eval takes.
        given = normalize_gen_kwargs(definition.config.generation_kwargs, benchmark.max_gen_toks)
        longest = given["max_gen_toks"]
        greedy = {"do_sample": False, "temperature": 0.0}
        definition.config.generation_kwargs = {"until": given["until"], "max_gen_toks": longest} | greedy
        if longest >= benchmark.max_length:
            raise GradsError(
                f"{spec.yaml}: answers may have {longest} tokens, but the model has room for {benchmark.max_length}, "
                "question and all: leave this task out for this model"
            )


def _requests(definition: Any, chosen: list[int] | None) -> int:
    """Return how many choices, or answers, a task asks for."""
    docs = definition.eval_docs
    numbers = range(len(docs)) if chosen is None else chosen
    if definition.OUTPUT_TYPE != "multiple_choice":
        return len(numbers)
    return sum(len(definition.doc_to_choice(docs[number])) for number in numbers)


def _summary(
    place: Place, spec: TaskSpec, definitions: Mapping[str, Any], results: Mapping[str, Any]
) -> dict[str, Any]:
    items = []
    hashes = ""
    for task, definition in definitions.items():
        found, hashed = find_items(place, definition, results["samples"][task])
        mean = sum(item["correct"] for item in found) / len(found)
        stated = results["results"][task].get(place.key)
        if stated is None or not math.isclose(mean, stated, rel_tol=1e-9, abs_tol=1e-12):
            raise GradsError(
                f"general.tasks.{place.name}.metric is '{spec.metric}', which is no mean over items of '{task}' "
                f"({mean} by items, {stated} by lm-eval): choose another metric"
            )
        items += [({"task": task} if len(definitions) > 1 else {}) | item for item in found]
        hashes += hashed
    summary = {"metric": spec.metric, "value": sum(item["correct"] for item in items) / len(items), "n": len(items)}
    if all("gold_logprob" in item for item in items):
        summary["gold_logprob"] = sum(item["gold_logprob"] for item in items) / len(items)
    shots = sorted({definition.config.num_fewshot or 0 for definition in definitions.values()})
    versions = sorted({str(definition.VERSION) for definition in definitions.values()})
    return summary | {
        "form": spec.form,
        "shots": shots[0] if len(shots) == 1 else shots,
        "seed": spec.seed,
        "version": ", ".join(versions),
        "hash": hash_string(hashes),
        "items": items,
    }
