"""Commands that work on the user's own files, without Snakemake: one for each stage but the probe."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grads.api.checks import (
    METRICS,
    check_choice,
    check_folder,
    check_method,
    check_strategy,
    metric_setting,
    ratio_of,
    section,
)
from grads.cli.options import assignments, check_absent, check_out
from grads.cli.outputs import (
    Force,
    check_export,
    check_outputs,
    inputs_of,
    made_by,
    manifest_of,
    refuse_inputs,
    refuse_others,
)
from grads.cli.shared import Own, encoders_of, on_own_files, open_workbench, others_of, read_by
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

if TYPE_CHECKING:
    from grads.api.select import Amount
    from grads.evaluation.metrics.contract import Setting

MetricOption = Annotated[
    list[str] | None,
    typer.Option("--metric", help="As `grads list metrics` shows; repeat for several.", show_default="bleu, chrf"),
]
Language = Annotated[
    str, typer.Option(help="Of the answers: `en`, `zh`, or `other` for one whose words are separated by spaces.")
]
WordNet = Annotated[Path, typer.Option(help="WordNet folder, which METEOR needs; a study's run installs it here.")]


@on_own_files("seed", "metadata", "encoder", "validation", "anchor", "probe", "dtype", "token_budget", "micro_batch")
def select(
    given: Own,
    out: Annotated[
        Path,
        typer.Option(
            help="JSON lines to write: the chosen records as they were; of several ratios `<stem>-<ratio>.jsonl` each."
        ),
    ],
    ratio: Annotated[
        list[str] | None,
        typer.Option(help="Share of the eligible records to keep, such as 0.05, or `auto`; repeat for several."),
    ] = None,
    count: Annotated[
        list[int] | None, typer.Option(help="How many records to keep, in place of a ratio; repeat for several.")
    ] = None,
    method: Annotated[str, typer.Option(help="Selection method; `grads list methods` shows them.")] = "grads",
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Parameter of the method; repeat for several.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write subset and scores to for datasets.load_dataset, with a card; of several ratios "
            "`<folder>-<ratio>` each."
        ),
    ] = None,
    license: Annotated[
        str, typer.Option(help="Licence of the records for the card, as the Hugging Face hub names it.")
    ] = "unknown",
    force: Force = False,
) -> None:
    """Choose the part of your data to fine-tune on.

    Runs whatever the method needs (for `grads`: one preliminary epoch, two passes over the data) in the work folder.
    Then writes the chosen records with their fields and order, all scores (`.scores.csv`) and a manifest next to them.
    How many records are eligible, what is to do and about how long it takes is said first. If it is stopped, the same
    command carries on; another ratio or method uses what is there.

    \b
    Examples:
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --out subset.jsonl
      grads select --model owner/name --data train.csv --ratio auto \\
                   --field prompt=question --field completion=answer \\
                   --parameter point=during --out subset.jsonl
      grads select --model m.gguf --data train.jsonl --ratio 0.5 \\
                   --method random --seed 1 --out half.jsonl
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --encoder minilm=./all-MiniLM-L6-v2 \\
                   --parameter encoder=minilm --out sentences.jsonl
      grads select --model ./my-model --data train.jsonl --count 1000 \\
                   --method less --validation target.jsonl --out near.jsonl
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --ratio 0.5 --training learning_rate=1e-4 --out slower.jsonl
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --out subset.jsonl --export shared --license apache-2.0
    """
    started = time.time()
    parameters = assignments(parameter or [], "--parameter")
    check_out(out, ".jsonl", given.data)
    outputs = _amounts(ratio or [], count or [], out)
    exports = dict(zip(outputs, _export_folders(export, list(outputs.values())), strict=True))
    for subset, amount in outputs.items():
        files = check_method(method, parameters, amount.checked, encoders_of(given), others_of(given))
        read = [*read_by(given), *map(Path, files)]
        check_outputs("select", [subset, subset.with_suffix(".scores.csv"), manifest_of(subset)], read, force)
        if (folder := exports[subset]) is not None:
            check_export(folder, "select", read, force)
    bench = open_workbench(given, out)
    from grads.cli.subset import Wanted, write_subsets

    subsets = [Wanted(subset, amount, exports[subset]) for subset, amount in outputs.items()]
    write_subsets(bench, method, parameters, subsets, license, started)


def _export_folders(export: Path | None, amounts: "Sequence[Amount]") -> list[Path | None]:
    """Return the folder that each of several subsets is exported to."""
    if export is None or len(amounts) == 1:
        return [export] * len(amounts)
    return [export.with_name(f"{export.name}-{amount}") for amount in amounts]


def _amounts(ratios: list[str], counts: list[int], out: Path) -> "dict[Path, Amount]":
    """Return how much each file holds that is written: of several ratios or counts one each.

    Raises:
        GradsError: there is neither, or both, one is given twice, or is not allowed.
    """
    from grads.api.select import Amount

    if bool(ratios) == bool(counts):
        raise GradsError("--ratio: give it or --count: what share, or how many records to keep")
    amounts = [Amount(ratio=ratio_of(ratio)) for ratio in ratios] or [Amount(count=count) for count in counts]
    if len(set(amounts)) < len(amounts):
        raise GradsError("--ratio or --count: one is given twice: give each once")
    if len(amounts) == 1:
        return {out: amounts[0]}
    return {out.with_name(f"{out.stem}-{amount}{out.suffix}"): amount for amount in amounts}


@on_own_files("seed", "token_budget", "micro_batch")
def train(
    given: Own,
    out: Annotated[Path, typer.Option(help="Folder to write the adapter (or all weights) to.")],
    strategy: Annotated[str, typer.Option(help="Training strategy; `grads list strategies` shows them.")] = "sft",
    strategy_parameter: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Parameter of the strategy; repeat for several.")
    ] = None,
    force: Force = False,
) -> None:
    """Fine-tune a model on your records, as every arm of a study does.

    Writes the adapter, and the training curve next to it (`.training.json`). A stopped run carries on.

    \b
    Examples:
      grads train --model ./my-model --data subset.jsonl --out adapter \\
                  --training epochs=3
      grads train --model ./my-model --data subset.jsonl --out masked \\
                  --strategy stm --strategy-parameter threshold=5
    """
    parameters = assignments(strategy_parameter or [], "--strategy-parameter")
    check_absent(out)
    summary = out.with_name(f"{out.name}.training.json")
    check_outputs("train", [out, summary, out.with_name(f"{out.name}.manifest.json")], read_by(given), force)
    stores = check_strategy(strategy, parameters)
    bench = open_workbench(given, out)
    from grads.runtime.manifest import write_manifests

    started = time.time()
    made_from = bench.inputs()
    job = bench.graph.train(strategy, parameters, stores, trained=out)
    for earlier in bench.graph.before(job)[:-1]:
        bench.make(earlier)
    job.run(bench.machine)
    settings = bench.described() | {"strategy": strategy, "strategy_parameters": parameters, "command": "train"}
    write_manifests([out, summary], made_from, settings, started)
    say(f"trained: {out}")


@on_own_files()
def evaluate(
    given: Own,
    out: Annotated[Path, typer.Option(help="JSON lines to write: prompt, reference and prediction of each record.")],
    trained: Annotated[Path | None, typer.Option(help="Adapter or weights that `grads train` wrote.")] = None,
    metric: MetricOption = None,
    language: Language = "en",
    wordnet: WordNet = Path("resources/wordnet"),
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 64,
    precision: Annotated[str, typer.Option(help="`auto`, `bf16` or `float32`.")] = "auto",
    token_budget: Annotated[
        int, typer.Option(min=1, help="Most tokens in a batch: lower it if memory runs out.")
    ] = 4096,
    force: Force = False,
) -> None:
    """Answer test records with a model, and measure the answers.

    Writes predictions, and their metrics next to them (`.metrics.json`). Prints each metric with its 95 % interval over
    the test records, and how many answers reached the most tokens, which leaves their ends out.

    \b
    Example:
      grads evaluate --model ./my-model --trained adapter --data test.jsonl \\
                     --out predictions.jsonl --metric bleu
    """
    check_choice(precision, ("auto", "bf16", "float32"), "--precision")
    check_out(out, ".jsonl", given.data)
    if trained is not None and not trained.is_dir():
        raise GradsError(f"--trained {trained} is not there: give the folder that `grads train` wrote")
    for key in assignments(given.training or [], "--training").keys() - {"max_length"}:
        raise GradsError(f"--training {key}: nothing is trained here, and only max_length is read: remove it")
    from grads.config.evaluation import Evaluation, Generation

    names, setting = metric_setting(metric or METRICS, language, wordnet)
    generation = section(Generation, {"max_new_tokens": max_new_tokens}, "--max-new-tokens")
    measured = out.with_suffix(".metrics.json")
    read = [*read_by(given), *([trained] if trained else []), wordnet]
    check_outputs("evaluate", [out, measured, manifest_of(out)], read, force)
    bench = open_workbench(given, out)
    from grads.cli.written_answers import write_predictions

    evaluation = Evaluation.model_validate({"metrics": names, "precision": precision, "token_budget": token_budget})
    measure = partial(_measure, out, names, setting, measured)
    write_predictions(bench, trained, evaluation, generation, out, measure)


def metrics(
    predictions: Annotated[
        Path, typer.Argument(help="JSON lines with `reference` and `prediction`, if need be `references`.")
    ],
    metric: MetricOption = None,
    language: Language = "en",
    wordnet: WordNet = Path("resources/wordnet"),
    out: Annotated[
        Path | None, typer.Option(help="JSON to write; `.metrics.json` next to the file if not given.")
    ] = None,
    force: Force = False,
) -> None:
    """Compute corpus metrics of stored predictions, of whatever tool.

    Metrics of the same predictions that are in the JSON already, by this command or by `grads evaluate`, stay there.

    \b
    Example:
      grads metrics predictions.jsonl --metric bleu --metric chrf
    """
    if not predictions.is_file():
        found = "is a folder" if predictions.is_dir() else "is not there"
        raise GradsError(f"{predictions} {found}: give a file with one JSON object a line")
    names, setting = metric_setting(metric or METRICS, language, wordnet)
    started = time.time()
    out = out or predictions.with_suffix(".metrics.json")
    check_out(out, ".json", predictions)
    check_folder(out.parent, f"--out {out}")
    refuse_inputs([out, manifest_of(out)], [predictions, wordnet])
    _check_predictions(predictions)
    kept = _kept_metrics(predictions, out, force)
    _measure(predictions, names, setting, out, kept)
    from grads.runtime.manifest import write_manifests

    asked = {"command": "metrics", "metrics": names, "kept": sorted(kept), "language": language}
    write_manifests([out], [predictions], asked, started)


def _kept_metrics(predictions: Path, out: Path, force: bool) -> dict[str, Any]:
    """Return what is measured of the same predictions already, by `grads evaluate` or by this command, to be kept.

    Raises:
        GradsError: the file is there and something else made it.
    """
    from grads.runtime.files import read_json, sha256_file

    evaluated = made_by("evaluate", manifest_of(predictions))
    measured = made_by("metrics", manifest_of(out))
    if not force:
        if out.name not in (evaluated | measured):
            refuse_others("metrics", out)
        if not measured:
            refuse_others("metrics", manifest_of(out))
    now = sha256_file(predictions)
    then = []
    if out.name in evaluated:
        then.append(evaluated.get(predictions.name))
    if out.name in measured:
        then.append(inputs_of(manifest_of(out)).get(predictions.name))
    return dict(read_json(out)) if out.is_file() and now in then else {}


def _check_predictions(predictions: Path) -> None:
    """Refuse a file that is not JSON lines with two texts a line."""
    from grads.data.records.rows import parse_rows

    with predictions.open("rb") as handle:
        for place, row in parse_rows(handle, "predictions.jsonl", str(predictions)):
            for key in ("reference", "prediction"):
                if not isinstance(row.get(key), str):
                    raise GradsError(f"{place}: there is no text '{key}': give each line a reference and a prediction")
            further = row.get("references", [])
            if not isinstance(further, list) or not all(isinstance(text, str) for text in further):
                raise GradsError(
                    f"{place}: 'references' is no list of texts: write further right answers as [text, ...]"
                )


def _measure(
    predictions: Path, names: list[str], setting: "Setting", out: Path, kept: Mapping[str, Any] = MappingProxyType({})
) -> Path:
    """Compute metrics, write them with those that are kept, and print one line each; return the file.

    Each has its 95 % interval over items. How many answers were cut is said, where evaluation counted it.
    """
    from grads.api.scored import capped_line, metric_line
    from grads.evaluation.metrics.compute import LENGTHS, compute_metrics
    from grads.evaluation.metrics.registry import find_metric
    from grads.runtime.files import read_jsonl, read_object

    rows = read_jsonl(predictions)
    averaged = [name for name in LENGTHS if rows and all(name in row for row in rows)]
    compute_metrics(predictions, names, out, setting, averaged, kept)
    found = read_object(out)
    for name in names:
        typer.echo(metric_line(found, name, find_metric(name).details))
    if said := capped_line(found):
        typer.echo(said)
    say(f"metrics: {out}")
    return out
