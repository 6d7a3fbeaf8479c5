"""Commands that work on the user's own files, without Snakemake: one for each stage."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grads.commands.options import assignments, ratio_of, section
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

if TYPE_CHECKING:
    from grads.commands.workbench import Workbench

Model = Annotated[str, typer.Option(help="A save_pretrained folder with safetensors, or a .gguf file.", metavar="PATH")]
Data = Annotated[Path, typer.Option(help="JSON lines with `instruction`, `output` and perhaps `input`.")]
Seed = Annotated[int, typer.Option(min=0, help="Seeds every draw.")]
Work = Annotated[
    Path | None,
    typer.Option(help="Folder for what is made on the way and used again; grads-work beside the output if not given."),
]
Template = Annotated[
    str | None, typer.Option(help="`chat` or `plain`; the model's chat template where it has one, if not given.")
]
TrainingOption = Annotated[
    list[str] | None,
    typer.Option("--training", metavar="KEY=VALUE", help="Any key of the config's `training`; repeat for several."),
]
MicroBatch = Annotated[int, typer.Option(min=1, help="Most records in one training pass: lower it if memory runs out.")]
TokenBudget = Annotated[int, typer.Option(min=1, help="Most tokens in one probe batch: lower it if memory runs out.")]
MetricOption = Annotated[
    list[str] | None,
    typer.Option("--metric", help="bleu, chrf, meteor or response_nll; repeat for several.", show_default="bleu, chrf"),
]
WordNet = Annotated[Path, typer.Option(help="WordNet folder, which METEOR needs; a study's run installs it here.")]


def select(
    model: Model,
    data: Data,
    ratio: Annotated[str, typer.Option(help="Share of the records to keep, such as 0.05.")],
    out: Annotated[Path, typer.Option(help="JSON lines to write: the chosen records as they were.")],
    method: Annotated[str, typer.Option(help="Selection method; `grads list methods` shows them.")] = "grads",
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Parameter of the method; repeat for several.")
    ] = None,
    seed: Seed = 0,
    training: TrainingOption = None,
    template: Template = None,
    token_budget: TokenBudget = 2048,
    micro_batch: MicroBatch = 8,
    work: Work = None,
) -> None:
    """Choose the part of your data to fine-tune on.

    Runs whatever the method needs (for `grads`: one preliminary epoch, two passes over the data) in the work folder.
    Then writes the chosen records with their fields and order, all scores (`.scores.csv`) and a manifest beside them.
    If it is stopped, the same command carries on; another ratio or method uses what is there.

    \b
    Examples:
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --out subset.jsonl
      grads select --model m.gguf --data train.jsonl --ratio 0.5 \\
                   --method random --seed 1 --out half.jsonl
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --parameter diversity=0 --out other.jsonl
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --training learning_rate=1e-4 --out slower.jsonl
    """
    started, ratio, parameters = time.time(), ratio_of(ratio), assignments(parameter or [], "--parameter")
    _check_output(out, ".jsonl", data)
    _check_method(method, parameters)
    bench = _workbench(model, data, out.parent, work, training, template, token_budget, micro_batch, seed)
    from grads.commands.subset import write_subset

    write_subset(bench, method, parameters, ratio, out, started)


def probe(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write: signals.parquet, features.npy, meta.json.")],
    point: Annotated[str, typer.Option(help="`tokens`, `base` (untrained) or `warm` (after one epoch).")] = "warm",
    seed: Seed = 0,
    training: TrainingOption = None,
    template: Template = None,
    token_budget: TokenBudget = 2048,
    micro_batch: MicroBatch = 8,
    work: Work = None,
) -> None:
    """Measure the signals of your records that methods select by.

    \b
    Example:
      grads probe --model ./my-model --data train.jsonl --point warm --out signals
    """
    _check_choice(point, ("tokens", "base", "warm"), "--point")
    _check_absent(out)
    bench = _workbench(model, data, out.parent, work, training, template, token_budget, micro_batch, seed)
    measures = {"base": frozenset({"hidden"}), "warm": frozenset({"gradients"})}
    _copy_folder(bench.store(point, measures.get(point, frozenset())), out)
    say(f"signals: {out}")


def train(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write the adapter (or all weights) to.")],
    seed: Seed = 0,
    training: TrainingOption = None,
    template: Template = None,
    micro_batch: MicroBatch = 8,
    work: Work = None,
) -> None:
    """Fine-tune a model on your records, as every arm of a study does.

    Writes the adapter, and the training curve beside it (`.training.json`). A stopped run carries on.

    \b
    Example:
      grads train --model ./my-model --data subset.jsonl --out adapter \\
                  --training epochs=3
    """
    _check_absent(out)
    bench = _workbench(model, data, out.parent, work, training, template, 2048, micro_batch, seed)
    from grads.runtime.manifest import write_manifests

    started, summary = time.time(), out.with_name(f"{out.name}.training.json")
    bench.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="training-", dir=bench.folder) as folder:
        bench.train("training", Path(folder))
        (Path(folder) / "training.json").replace(summary)
        (Path(folder) / "adapter").replace(out)
    write_manifests([out, summary], [bench.model, data], bench.described(), started)
    say(f"trained: {out}")


def evaluate(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="JSON lines to write: prompt, reference and prediction of each record.")],
    trained: Annotated[Path | None, typer.Option(help="Adapter or weights that `grads train` wrote.")] = None,
    metric: MetricOption = None,
    wordnet: WordNet = Path("resources/wordnet"),
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 64,
    precision: Annotated[str, typer.Option(help="`bf16` or `float32`.")] = "bf16",
    training: TrainingOption = None,
    template: Template = None,
    work: Work = None,
) -> None:
    """Answer test records with a model, and measure the answers.

    Writes predictions, and their metrics beside them (`.metrics.json`).

    \b
    Example:
      grads evaluate --model ./my-model --trained adapter --data test.jsonl \\
                     --out predictions.jsonl --metric bleu
    """
    _check_choice(precision, ("bf16", "float32"), "--precision")
    _check_output(out, ".jsonl", data)
    metrics = _metrics(metric, wordnet)
    bench = _workbench(model, data, out.parent, work, training, template, 2048, 8, 0)
    from grads.commands.answers import write_predictions

    write_predictions(bench, trained, precision, max_new_tokens, out)
    _measure(out, metrics, wordnet, out.with_suffix(".metrics.json"))


def metrics(
    predictions: Annotated[Path, typer.Argument(help="JSON lines with `reference` and `prediction`.")],
    metric: MetricOption = None,
    wordnet: WordNet = Path("resources/wordnet"),
    out: Annotated[
        Path | None, typer.Option(help="JSON to write; `.metrics.json` beside the file if not given.")
    ] = None,
) -> None:
    """Compute corpus metrics of stored predictions, of whatever tool.

    \b
    Example:
      grads metrics predictions.jsonl --metric bleu --metric chrf
    """
    if not predictions.is_file():
        raise GradsError(f"{predictions} is not there: give a file with one JSON object a line")
    _measure(predictions, _metrics(metric, wordnet), wordnet, out or predictions.with_suffix(".metrics.json"))


def _workbench(
    model: str,
    data: Path,
    beside: Path,
    work: Path | None,
    training: list[str] | None,
    template: str | None,
    token_budget: int,
    micro_batch: int,
    seed: int,
) -> "Workbench":
    """Check the options, then import what is heavy and return the workbench."""
    from grads.commands.options import model_source
    from grads.runtime.locks import take_device_slot
    from grads.runtime.process import settle_libraries
    from grads.study.config import Probe, Training

    if template is not None:
        _check_choice(template, ("chat", "plain"), "--template")
    settings = section(Training, assignments(training or [], "--training"), "--training")
    model_source(model)
    settle_libraries()
    take_device_slot()
    from grads.commands.workbench import Settings, Workbench

    probe = Probe(token_budget=token_budget, precision=settings.precision)
    return Workbench(work or beside / "grads-work", model, data, Settings(settings, probe, template, seed, micro_batch))


def _check_method(name: str, parameters: dict[str, Any]) -> None:
    from grads.methods.registry import find_method, parse_parameters

    method = find_method(name)
    try:
        parse_parameters(method, parameters)
    except GradsError as error:
        raise GradsError(f"--parameter: {error}") from None


def _check_choice(value: str, allowed: tuple[str, ...], option: str) -> None:
    from grads.runtime.errors import nearest

    if value not in allowed:
        raise GradsError(f"{option} {value}: {nearest(value, allowed)}")


def _check_output(out: Path, suffix: str, data: Path) -> None:
    if out.suffix != suffix:
        raise GradsError(f"--out {out}: the file is JSON lines: give it a name that ends in {suffix}")
    if out.absolute() == data.absolute():
        raise GradsError(f"--out {out} is the data itself: give another name")


def _check_absent(out: Path) -> None:
    if out.exists():
        raise GradsError(f"--out {out} is there already: give another name, or remove it")


def _copy_folder(source: Path, out: Path) -> None:
    import shutil

    from grads.runtime.files import atomic_path

    with atomic_path(out) as temporary:
        shutil.copytree(source, temporary)


def _metrics(asked: list[str] | None, wordnet: Path) -> list[str]:
    names = asked or ["bleu", "chrf"]
    for name in names:
        _check_choice(name, ("bleu", "chrf", "meteor", "response_nll"), "--metric")
    if "meteor" in names and not wordnet.is_dir():
        raise GradsError(f"--wordnet {wordnet} is not there, and METEOR needs it: name a folder with WordNet 3.0")
    return names


def _measure(predictions: Path, names: list[str], wordnet: Path, out: Path) -> None:
    """Compute metrics, write them, and print one line each."""
    from grads.evaluate.metrics import LENGTHS, compute_metrics
    from grads.runtime.files import read_json, read_jsonl

    rows = read_jsonl(predictions)
    beside = [name for name in LENGTHS if rows and all(name in row for row in rows)]
    compute_metrics(predictions, names, wordnet if "meteor" in names else None, out, beside)
    found = read_json(out)
    for name in names:
        signature = found[name].get("signature", "")
        typer.echo(f"{name}  {found[name]['value']:.4f}  n={found[name]['n']}  {signature}".rstrip())
    say(f"metrics: {out}")
