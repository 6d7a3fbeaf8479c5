"""The jobs that evaluate models, and measure their answers."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grads.config.evaluation import Evaluation, Generation, Judgements
from grads.config.models import Format
from grads.config.training import Training
from grads.evaluation.metrics.registry import module_of
from grads.runtime.runner import Machine
from grads.study.job import Aside, Given, Job, Made, Read


class Evaluate(Job):
    """Has a model answer test records, general benchmarks and general text.

    Attributes:
        model: the prepared model.
        trained: adapter or weights; none for the untuned model.
        tests: Parquet files of test records.
        samples: items of the general benchmarks, in the order of `tasks`; none to leave the general part out.
        task_files: of each, its task file, or the folder of one that lm-eval knows by name.
        text: passages of general text.
        tasks: what running each general benchmark takes.
        text_tokens: tokens taken from the head of each passage.
        max_length: training's limit of prompt and response together, in tokens.
        form: the model's prompt format.
        generation: how answers are generated.
        evaluation: the keys of the config's section that are read here.
        label: what progress lines call it.
        finished: folder of parts that were measured before; none keeps none.
        predictions: answers to each of `tests`, JSON lines.
        general: results of the general part.
        documents: those of each item.
        cross: instead of `predictions`, a folder with the answers to each of `tests`, by its domain.
    """

    modules = ("grads.evaluation.run",)
    device = True

    model: Read[Path]
    trained: Read[Path | None] = None
    tests: Read[list[Path]]
    samples: Read[list[Path]] = []
    task_files: Read[list[Path]] = []
    text: Read[Path | None] = None
    tasks: dict[str, dict[str, Any]] = {}
    text_tokens: int
    max_length: int
    form: Format
    generation: Generation
    evaluation: dict[str, Any]
    label: Aside[str]
    finished: Aside[Path | None] = None
    predictions: Made[list[Path]] = []
    general: Made[Path | None] = None
    documents: Made[Path | None] = None
    cross: Made[Path | None] = None

    @property
    def rule(self) -> str:  # type: ignore[override]
        """Its rule in the workflow."""
        if self.cross is not None:
            return "evaluate_cross"
        return "evaluate" if self.trained is not None else "evaluate_untuned"

    def run(self, machine: Machine) -> dict[str, Any]:
        """Evaluate it; its manifests name the engine that ran it."""
        from grads.evaluation.benchmarks import TaskSpec
        from grads.evaluation.run import EvaluationCell, EvaluationSettings, evaluate_cells

        answers = self.predictions
        if self.cross is not None:
            answers = [self.cross / f"{test.parent.name}.jsonl" for test in self.tests]
        # The general part is measured once, with the first domain.
        generals = [self.general, *[None] * (len(self.tests) - 1)]
        cells = [
            EvaluationCell(self.label, self.trained, test, answer, general)
            for test, answer, general in zip(self.tests, answers, generals, strict=True)
        ]
        files = zip(self.tasks.items(), self.task_files, self.samples, strict=True)
        settings = EvaluationSettings(
            self.form,
            self.generation,
            Evaluation.model_validate(self.evaluation),
            {name: TaskSpec(file, sample=sample, **task) for (name, task), file, sample in files},
            self.text or Path(),
            self.text_tokens,
            self.max_length,
            self.finished,
        )
        # The cells are of one trained model, which one engine runs.
        return {"ran_by": evaluate_cells(self.model, cells, settings)[0]}


class Rewrite(Job):
    """Has the untuned model answer training records in its own words, their answers given as a guide.

    Attributes:
        model: the prepared model.
        records: training records.
        form: the model's prompt format.
        limits: the keys of `training` that say which records are eligible.
        max_new_tokens: most tokens of an answer.
        evaluation: the keys of the config's section that shape answers.
        label: opens the progress lines.
        answers: folder to write.
    """

    rule = "rewrite"
    modules = ("grads.evaluation.rewrite",)
    device = True

    model: Read[Path]
    records: Read[Path]
    form: Format
    limits: dict[str, Any]
    max_new_tokens: int
    evaluation: dict[str, Any]
    label: Aside[str]
    answers: Made[Path]

    def run(self, machine: Machine) -> None:
        """Write them."""
        from grads.evaluation.rewrite import rewrite

        limits = Training.model_validate(self.limits)
        evaluation = Evaluation.model_validate(self.evaluation)
        rewrite(self.model, self.records, self.form, limits, self.max_new_tokens, evaluation, self.answers, self.label)


class Metrics(Job):
    """Computes the domain metrics of stored answers.

    Attributes:
        predictions: the answers: JSON lines, or a folder of them by domain.
        target: in a folder, the domain whose answers are meant.
        wordnet: WordNet, where a metric reads it.
        metrics: their names.
        language: of the answers.
        file: JSON file to write.
    """

    modules = ("grads.evaluation.metrics.compute",)

    predictions: Read[Path]
    target: str | None = None
    wordnet: Read[Path | None] = None
    metrics: list[str]
    language: str
    file: Made[Path]

    @property
    def rule(self) -> str:  # type: ignore[override]
        """Its rule in the workflow."""
        return "metrics" if self.target is None else "metrics_cross"

    @property
    def more_modules(self) -> Iterable[str]:
        """Those of the metrics."""
        return [module_of(name) for name in self.metrics]

    def run(self, machine: Machine) -> None:
        """Compute them."""
        from grads.evaluation.metrics.compute import compute_metrics
        from grads.evaluation.metrics.contract import Setting

        predictions = self.predictions if self.target is None else self.predictions / f"{self.target}.jsonl"
        compute_metrics(predictions, self.metrics, self.file, Setting(self.language, self.wordnet))


class Judge(Job):
    """Checks what others say of the answers, all of it together.

    Attributes:
        predictions: the answers, by cell.
        files: where the judgements are.
        scale: what they mean.
        folder: a file for each cell.
    """

    rule = "judgements"
    modules = ("grads.evaluation.judged",)

    predictions: Read[dict[str, Path]]
    files: Given[list[Path]]
    scale: Judgements
    folder: Made[Path]

    def run(self, machine: Machine) -> None:
        """Check them."""
        from grads.evaluation.judged import write_judgements

        write_judgements(self.scale, self.predictions, self.folder)
