"""The evaluation stage: one job for a trained model and the test sets that it answers, each with outputs of its own."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import nn

from grads.config.evaluation import SHAPING, Evaluation, Generation
from grads.config.models import Format
from grads.data.records.formatting import Formatter
from grads.data.records.record import load_records
from grads.evaluation.benchmarks import LoadedTask, TaskSpec, load_tasks, run_tasks
from grads.evaluation.drift import Drift, Untuned, measure_drift, predicted_bytes, text_ids, untuned_states
from grads.evaluation.engines.choice import engine_of
from grads.evaluation.engines.contract import Engine
from grads.evaluation.generation import generate
from grads.evaluation.likelihood import response_likelihoods
from grads.evaluation.parts import Part, Parts
from grads.models.adapter import trained_adapter
from grads.models.checkpoint import ADAPTER
from grads.models.device import chosen_precision
from grads.models.load import load_model, load_tokenizer
from grads.runtime.errors import GradsError
from grads.runtime.files import read_jsonl, reading, sha256_file, write_json, write_jsonl
from grads.runtime.manifest import content_sha256, verified
from grads.runtime.progress import Progress, say
from grads.study.code import code_version
from grads.study.paths import documents_path

# The part of the general text, which no benchmark is called by (see `grads.study.naming`).
TEXT = "text"
# What tables read of each item of a general task.
READ = (
    *("task", "doc_id", "group", "correct"),
    *("gold", "gold_logprob", "choice_logprobs", "choice_lengths", "choice_unconditional"),
)


@dataclass(frozen=True)
class EvaluationCell:
    """One model to evaluate, and which files to write.

    Attributes:
        label: what progress lines call it.
        trained: folder of its adapter or weights; none for the untuned model.
        test: Parquet file of the domain's test records; goes with `predictions`.
        predictions: file for the domain answers, or none to leave the domain out.
        general: file for general tasks and drift, or none to leave them out; each task's documents go next to it.
    """

    label: str
    trained: Path | None
    test: Path | None
    predictions: Path | None
    general: Path | None


@dataclass(frozen=True)
class EvaluationSettings:
    """What all cells of a model share.

    Attributes:
        form: the model's prompt format.
        generation: how answers are generated.
        evaluation: precision and batch sizes.
        tasks: general benchmarks by their names in the study.
        texts: JSON lines `{"text"}` of general text.
        text_tokens: tokens taken from the head of each text.
        max_length: training's limit of prompt and response together, in tokens.
        finished: folder of parts that were measured before (see `grads.evaluation.parts`); None keeps none.
    """

    form: Format
    generation: Generation
    evaluation: Evaluation
    tasks: Mapping[str, TaskSpec]
    texts: Path
    text_tokens: int
    max_length: int
    finished: Path | None = None


def evaluate_cells(
    model_folder: Path, cells: Sequence[EvaluationCell], settings: EvaluationSettings
) -> list[dict[str, Any]]:
    """Evaluate cells of one base model and write each one's files as soon as it is done.

    The base model is loaded once; an adapter is put on it, full weights are loaded next to it, once for all cells in a
    row that are of the same trained model, as those of a job of the workflow are.

    Args:
        model_folder: the prepared base model.
        cells: what to evaluate, in this order.
        settings: what they share.

    Returns:
        For each cell what `Engine.record` says of what ran it.

    Raises:
        GradsError: a model, adapter, task or data file cannot be used as it is.
    """
    say(f"evaluate: loading {model_folder}")
    with load_tasks(settings.tasks if any(cell.general for cell in cells) else {}) as tasks:
        evaluator = _Evaluator(model_folder, settings, tasks)
        numbered = enumerate(cells, start=1)
        records = []
        for trained, group in itertools.groupby(numbered, key=lambda pair: pair[1].trained):
            records += evaluator.evaluate(trained, {f"cell {number} of {len(cells)}": cell for number, cell in group})
    return records


class _Evaluator:
    """Holds what cells share: base model, tokenizer, tasks, and the untuned model's states on the general text."""

    def __init__(self, folder: Path, settings: EvaluationSettings, tasks: Mapping[str, LoadedTask]) -> None:
        self.folder = folder
        self.settings = settings
        self.tasks = tasks
        self.tokenizer = load_tokenizer(folder)
        self.formatter = Formatter(self.tokenizer, settings.form)
        self.parts = Parts(settings.finished)
        self.base = load_model(folder, settings.evaluation.precision)

    @cached_property
    def passages(self) -> list[str]:
        rows = read_jsonl(self.settings.texts)
        with reading(self.settings.texts):
            if not rows:
                raise ValueError("it is empty")
            return [row["text"] for row in rows]

    @cached_property
    def texts(self) -> list[list[int]]:
        with reading(self.settings.texts):
            return text_ids(self.tokenizer, self.passages, self.settings.text_tokens)

    @cached_property
    def untuned(self) -> Untuned:
        progress = Progress("untuned model, general text", len(self.texts), "texts")
        with engine_of(self.base, self.settings.evaluation) as engine:
            return untuned_states(engine, self.texts, progress)

    def evaluate(self, trained: Path | None, cells: Mapping[str, EvaluationCell]) -> list[dict[str, Any]]:
        """Evaluate cells of one trained model, by what progress lines say of their place."""
        made_by = self._made_by(trained)
        asks_for_drift = any(cell.general is not None for cell in cells.values())
        if asks_for_drift and not self.parts.has(TEXT, self._text_key(made_by)):
            _ = self.untuned  # Made before an adapter is put on the base model.
        records = []
        with self._tuned(trained) as model, engine_of(model, self.settings.evaluation) as engine:
            for place, cell in cells.items():
                say(f"{cell.label}: evaluating, {place}")
                answers = self._domain(engine, cell, made_by)
                general = self._general(engine, cell, made_by)
                records.append(engine.record())
                self._write(cell, answers, general, records[-1])
        return records

    def _write(
        self, cell: EvaluationCell, answers: Part | None, general: dict[str, Part], engine: dict[str, Any]
    ) -> None:
        seconds = sum(part.seconds for part in general.values())
        if cell.predictions is not None and answers is not None:
            write_jsonl(cell.predictions, answers.content)
            seconds += answers.seconds
        if cell.general is not None:
            tasks = {name: part.content for name, part in general.items() if name != TEXT}
            summary, documents = _apart({"tasks": tasks, "drift": general[TEXT].content})
            write_jsonl(documents_path(cell.general), documents)
            write_json(cell.general, summary | {"engine": engine, "seconds": seconds})

    def _made_by(self, trained: Path | None) -> dict[str, Any]:
        """Return what shapes all parts of a trained model's evaluation, for their keys."""
        if self.parts.folder is None:
            return {}
        evaluation = self.settings.evaluation.model_dump(include=SHAPING)
        return {
            "model": verified(self.folder),
            "trained": trained and verified(trained),
            "form": self.formatter.sha256,
            "evaluation": evaluation | {"precision": chosen_precision(self.settings.evaluation.precision)},
            "code": code_version("grads.evaluation.run"),
        }

    def _text_key(self, made_by: Mapping[str, Any]) -> dict[str, Any]:
        if self.parts.folder is None:
            return {}
        return {**made_by, "texts": sha256_file(self.settings.texts), "tokens": self.settings.text_tokens}

    def _task_key(self, spec: TaskSpec, made_by: Mapping[str, Any]) -> dict[str, Any]:
        if self.parts.folder is None:
            return {}
        files = [content_sha256(path) for path in (spec.yaml, spec.sample) if path is not None]
        settings = {key: value for key, value in asdict(spec).items() if key not in ("yaml", "sample")}
        return {**made_by, "files": files, "settings": settings}

    @contextmanager
    def _tuned(self, trained: Path | None) -> Iterator[nn.Module]:
        """Yield a trained model, or the untuned one; the base model is bare again when the block ends."""
        if trained is None:
            yield self.base
        elif (trained / ADAPTER).is_file():
            model = trained_adapter(self.base, trained)
            try:
                yield model
            finally:
                self.base = model.unload()
        else:
            yield load_model(self.folder, self.settings.evaluation.precision, trained)

    def _domain(self, engine: Engine, cell: EvaluationCell, made_by: Mapping[str, Any]) -> Part | None:
        if cell.predictions is None:
            return None
        if cell.test is None:
            raise GradsError(f"{cell.label}: predictions are asked for, but no test records are named")
        test = cell.test
        key: dict[str, Any] = {}
        if self.parts.folder is not None:
            generation = self.settings.generation.model_dump()
            limits = {"generation": generation, "max_length": self.settings.max_length}
            key = {**made_by, **limits, "records": sha256_file(test)}
        return self.parts.part(f"answers-{test.parent.name}", key, lambda: self._answers(engine, cell, test))

    def _answers(self, engine: Engine, cell: EvaluationCell, test: Path) -> list[dict[str, Any]]:
        records = load_records(test)
        kept = self.formatter.tokenize(records, self.settings.max_length, "truncate")
        if kept.over_length:
            say(f"{cell.label}: {kept.over_length} test records left out, whose prompts fill max_length")
        answerable = {example.id for example in kept.examples}
        if not answerable:
            raise GradsError(
                f"{test}: none of {len(records)} test prompts fits into training.max_length = "
                f"{self.settings.max_length} tokens: raise it, or leave the domain out for this model"
            )
        records = [record for record in records if record.id in answerable]
        limit = self.settings.generation.max_new_tokens
        answers = Progress(f"{cell.label}, answers", len(records))
        rows = generate(engine, self.formatter, records, limit, answers)
        progress = Progress(f"{cell.label}, response likelihood", len(records))
        found = response_likelihoods(engine, kept.examples, progress)
        first = ("id", "prompt", "reference", "prediction")
        return [
            {key: row[key] for key in first}
            | {"response_nll": one.nll, "response_tokens": one.tokens}
            | {key: value for key, value in row.items() if key not in first}
            | ({"group": record.connected} if record.connected else {})
            for row, one, record in zip(rows, found, records, strict=True)
        ]

    def _general(self, engine: Engine, cell: EvaluationCell, made_by: Mapping[str, Any]) -> dict[str, Part]:
        """Return what each benchmark found, by its name, and the drift on general text, by TEXT."""
        if cell.general is None:
            return {}
        found = {}
        for name, task in self.tasks.items():
            asked = {name: task}

            def ask(asked: Mapping[str, LoadedTask] = asked, name: str = name) -> dict[str, Any]:
                return run_tasks(engine, self.tokenizer, asked, cell.label, self.settings.form)[name]

            found[name] = self.parts.part(name, self._task_key(task.spec, made_by), ask)

        def drift() -> dict[str, Any]:
            progress = Progress(f"{cell.label}, general text", len(self.texts), "texts")
            found = measure_drift(engine, self.texts, self.untuned, progress)
            sizes = predicted_bytes(self.tokenizer, self.passages, self.settings.text_tokens)
            return _drift_summary(found, [len(ids) - 1 for ids in self.texts], sizes)

        return found | {TEXT: self.parts.part(TEXT, self._text_key(made_by), drift)}


def _apart(general: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return general results with what tables read of each item, and a row for each item with all that is known."""
    tasks = general["tasks"]
    documents = [{"benchmark": name, **item} for name, task in tasks.items() for item in task["items"]]
    kept = {
        name: task | {"items": [{key: item[key] for key in READ if key in item} for item in task["items"]]}
        for name, task in tasks.items()
    }
    return general | {"tasks": kept}, documents


def _drift_summary(drift: Sequence[Drift], tokens: Sequence[int], sizes: Sequence[int]) -> dict[str, Any]:
    """Return the drift on all texts and on each, by how many tokens are predicted and how many bytes they stand for.

    `bits_per_byte` is that of all texts together, bits / bytes (Rae et al. 2021, arXiv 2112.11446; lm-eval's metric of
    that name), which does not depend on how a tokenizer splits them; `nll` and `kl` are means of the texts' own means.
    """
    items = [
        asdict(one) | {"bits": one.nll * count / math.log(2), "bytes": size}
        for one, count, size in zip(drift, tokens, sizes, strict=True)
    ]
    return {
        "nll": fmean(item["nll"] for item in items),
        "kl": fmean(item["kl"] for item in items),
        "bits_per_byte": sum(item["bits"] for item in items) / sum(item["bytes"] for item in items),
        "n": len(items),
        "items": items,
    }
