"""`grads.evaluate`: a model's answers to test records, measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from grads.api.arguments import in_python
from grads.api.checks import METRICS, check_choice, metric_setting, section
from grads.api.given import records_path
from grads.api.settings import Settings, bench_of
from grads.api.train import Trained
from grads.runtime.errors import GradsError, nearest
from grads.study.paths import WORDNET

if TYPE_CHECKING:
    from grads.api.given import Model, Records
    from grads.api.workbench import Workbench
    from grads.config.sources import Source
    from grads.graph.files import GeneralPart

TOKEN_BUDGET = 4096
DRIFT = ("nll", "kl", "bits_per_byte")


@dataclass(frozen=True)
class Scores(Mapping[str, float]):
    """What a model's answers are worth: a mapping of metrics to their values.

    Attributes:
        results: of each metric its `value`, `n`, `items` and `signature`, as `grads evaluate` writes them; and the
            lengths of the answers, `new_tokens` and `capped`, the share that was cut.
        predictions: JSON lines with the prompt, reference and prediction of each record.
        metrics: names of the metrics.
        forgotten: of the general part, if it was asked for, all results with their items.
    """

    results: Mapping[str, Any] = field(repr=False)
    predictions: Path
    metrics: Sequence[str] = field(repr=False)
    forgotten: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each metric over the test records, low and high; NaN where there is none."""
        from grads.api.scored import estimated

        found = {metric: estimated(self.results, metric) for metric in self.metrics}
        return {metric: (one.low, one.high) for metric, one in found.items()}

    @property
    def capped(self) -> int:
        """How many answers reached `max_new_tokens`: their ends are missing, and metrics are lower for it."""
        return round(sum(self.results["capped"]["items"]))

    @property
    def general(self) -> dict[str, float]:
        """What `general` asked for: each task's value, and of the general text `nll`, `kl` and `bits_per_byte`."""
        tasks = {name: float(task["value"]) for name, task in self.forgotten.get("tasks", {}).items()}
        drift = self.forgotten.get("drift", {})
        return tasks | {name: float(drift[name]) for name in DRIFT if name in drift}

    def __getitem__(self, metric: str) -> float:
        """Return the value of a metric."""
        if metric not in self.metrics:
            raise KeyError(metric)
        return float(self.results[metric]["value"])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the metrics."""
        return iter(self.metrics)

    def __len__(self) -> int:
        """Return how many metrics there are."""
        return len(self.metrics)

    def __repr__(self) -> str:
        parts = [f"{name}={self[name]:.4f} ({low:.4f} to {high:.4f})" for name, (low, high) in self.intervals.items()]
        parts += [f"capped={self.capped} of {self.results['capped']['n']}", f"predictions={str(self.predictions)!r}"]
        return f"Scores({', '.join(parts)})"


@in_python
def evaluate(
    model: "Trained | Model",
    records: "Records",
    *,
    metrics: Sequence[str] = METRICS,
    general: Sequence[str] | Mapping[str, Any] | None = None,
    trained: str | Path | None = None,
    language: str = "en",
    wordnet: str | Path | None = None,
    max_new_tokens: int = 64,
    precision: Literal["auto", "bf16", "float32"] = "auto",
    out: str | Path | None = None,
    **settings: Unpack[Settings],
) -> Scores:
    """Have a model answer test records, and measure the answers, as `grads evaluate` does.

    Args:
        model: what `train` returned, or a model as for `probe`, which is evaluated as it is.
        records: test records.
        metrics: as `grads list metrics` shows.
        general: what the model may have forgotten: names of lm-eval's tasks, such as `["piqa"]`, whose data is fetched
            from the hub, or the section `general` of a config, with `tasks` and `text`. With it comes the drift on
            general text; passages of an archive of the package index, if none are given.
        trained: folder of an adapter or weights that `grads train` or PEFT wrote for the model.
        language: of the answers: `en`, `zh`, or `other` for one whose words are separated by spaces.
        wordnet: folder of WordNet 3.0, which METEOR needs; `resources/wordnet`, where studies install it.
        max_new_tokens: most tokens of an answer.
        precision: type of the weights.
        out: JSON lines to write the predictions to; in the work folder if not given.
        settings: see `Settings`; of `training` only `max_length` is read. After `train`, what is not given is as there.

    Returns:
        The values by metric.

    Raises:
        GradsError: a model, a record or a metric cannot be used.
    """
    from grads.config.evaluation import Evaluation, Generation
    from grads.runtime.files import read_object

    check_choice(precision, ("auto", "bf16", "float32"), "--precision")
    for key in settings.get("training", {}).keys() - {"max_length"}:
        raise GradsError(f"training: {key}: nothing is trained here, and only max_length is read: remove it")
    names, setting = metric_setting(list(metrics), language, WORDNET if wordnet is None else Path(wordnet))
    generation = section(Generation, {"max_new_tokens": max_new_tokens}, "--max-new-tokens")
    asked = {"precision": precision, "token_budget": settings.pop("token_budget", TOKEN_BUDGET)}
    evaluation = section(Evaluation, {"metrics": names, **asked}, "--token-budget")
    part = None if general is None else _general_part(general)
    bench, folder = _opened(model, records, Path(trained) if trained is not None else None, settings)
    if folder is not None:
        from grads.models.load import check_trained

        check_trained(bench.model, folder)
    answered = bench.make(bench.graph.evaluate(folder, generation, evaluation, general=part))
    measured = bench.make(bench.graph.metrics(answered, names, language, setting.wordnet))
    predictions = answered.predictions[0]
    if out is not None:
        predictions = _copied(predictions, Path(out))
    forgotten = {} if answered.general is None else read_object(answered.general)
    return Scores(read_object(measured.file), predictions, names, forgotten)


def _general_part(asked: Sequence[str] | Mapping[str, Any]) -> "GeneralPart":
    """Return benchmarks and general text, of lm-eval's names or of a config's section.

    Raises:
        GradsError: a key is wrong, or a source is in an archive that is not a built-in one.
    """
    from grads.config.general import General
    from grads.config.sources import BUILT_IN
    from grads.graph.files import GeneralPart

    if isinstance(asked, str):
        raise GradsError(f"general: it is one text: write it as a list, ['{asked}']")
    if not isinstance(asked, Mapping):
        named = {name: {"title": name, "data": {"kind": "harness", "name": name}, "chance": 0.0} for name in asked}
        asked = {"tasks": named}
    general = section(General, dict(asked), "--general")
    sources: list[Source] = [*(task.data for task in general.tasks.values()), general.text.source]
    for source in sources:
        if (key := source.archive_key) is not None and key not in BUILT_IN:
            raise GradsError(f"general: there is no archive '{key}' here: {nearest(key, BUILT_IN)}; or name a file")
    return GeneralPart(general, BUILT_IN)


def _opened(
    model: "Trained | Model", records: "Records", trained: Path | None, settings: Settings
) -> "tuple[Workbench, Path | None]":
    """Return a workbench for test records, and what was trained."""
    if trained is not None and not trained.is_dir():
        raise GradsError(f"--trained {trained} is not there: give the folder that `grads train` wrote")
    if not isinstance(model, Trained):
        return bench_of(model, records, settings), trained
    if trained is not None:
        raise GradsError("trained: the model is what grads.train returned, which has its own: remove one")
    if unread := sorted(settings.keys() - {"fields", "leave", "loss_turns", "limit"}):
        raise GradsError(f"{unread[0]}: it is as in grads.train, whose result is evaluated: remove it")
    request = model.bench.request
    read = replace(
        request,
        data=records_path(records, model.bench.work),
        fields=settings.get("fields", request.fields),
        leave=list(settings.get("leave", request.leave)),
        loss_turns=settings.get("loss_turns", request.loss_turns),
        limit=settings.get("limit"),
        metadata=[],
        others={},
    )
    return model.bench.on(read), model.folder


def _copied(predictions: Path, out: Path) -> Path:
    from grads.runtime.files import write_text

    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, predictions.read_text("utf-8"))
    return out
