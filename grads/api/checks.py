"""What somebody asks for, checked before any work: each mistake is one sentence that begins with the option.

The Python functions say the same of their arguments (see `grads.api.arguments`).
"""

import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from grads.runtime.errors import GradsError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from grads.config.section import LossTurns
    from grads.config.sources import FileSource, HubSource
    from grads.config.training import Training
    from grads.data.records.record import Record
    from grads.evaluation.metrics.contract import Setting
    from grads.selection.contract import Needs

    Section = TypeVar("Section", bound=BaseModel)

OTHER_RECORDS = {
    "validation": "records of the target task, none of which you test on",
    "anchor": "general instructions, whose gradients a domain's are compared with",
}
"""What further records are that a method may read, by what they are called."""
# `owner/name` or `owner/name@revision`; what begins with a dot is a path.
HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\S+))?")


def section(kind: "type[Section]", given: dict[str, Any], option: str) -> "Section":
    """Return a part of the config from what an option gave.

    Raises:
        GradsError: unknown keys, each with the nearest valid one, and values that are not allowed.
    """
    from pydantic import ValidationError

    from grads.config.mistakes import sentences

    try:
        return kind.model_validate(given)
    except ValidationError as error:
        place = [option.removeprefix("--")]
        raise GradsError(*(f"{option}: {said}" for said in sentences(error, kind, given, place))) from None


def ratio_of(text: str) -> str:
    """Return a keep ratio in its one spelling.

    Raises:
        GradsError: it is not a number above 0 and at most 1.
    """
    from grads.config.ratios import canonical_ratio

    try:
        return canonical_ratio(text)
    except ValueError as error:
        raise GradsError(f"--ratio: {error}") from None


def model_source(text: str) -> "FileSource | HubSource":
    """Return the source of a model that the user named; a path that is there goes before an id of the hub.

    Raises:
        GradsError: it is neither a path that is there, nor of the form of an id.
    """
    from grads.config.sources import FileSource, HubSource

    wanted = "give a save_pretrained folder, a .gguf file, owner/name or owner/name@revision"
    if Path(text).is_dir() or (Path(text).is_file() and text.endswith(".gguf")):
        return FileSource(kind="file", path=text)
    if Path(text).exists():
        raise GradsError(f"--model {text} is a file, and no .gguf one: {wanted}")
    match = HUB_ID.fullmatch(text)
    if match is None or text.endswith(".gguf"):
        raise GradsError(f"--model {text}: there is no such folder or file, and it is no id of the hub: {wanted}")
    return HubSource(kind="hub", id=match["id"], revision=match["revision"] or "main")


def check_choice(value: str, allowed: Collection[str], option: str) -> None:
    """Refuse a value that is not among those allowed."""
    if value not in allowed:
        raise GradsError(f"{option} {value}: {nearest(value, allowed)}")


def check_folder(folder: Path, option: str) -> None:
    """Refuse, before any work, a folder that files cannot be written to; make it if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise GradsError(
            f"{option}: nothing can be written to the folder {folder} ({error.strerror}): name another"
        ) from None


def check_data(data: Path, option: str = "--data") -> None:
    """Refuse records that are not there, and a folder that is no whole data set."""
    if not data.exists():
        raise GradsError(f"{option} {data} is not there: give a .jsonl, .json, .csv or .parquet file, or a folder")
    if data.is_dir():
        from grads.study.data_files import data_files

        try:
            data_files(data)
        except GradsError as error:
            raise GradsError(f"{option} {error}") from None


def read_own_records(
    data: Path, fields: Mapping[str, str], loss_turns: "LossTurns", metadata: Sequence[str], leave: Sequence[str] = ()
) -> "tuple[list[Record], dict[str, int]]":
    """Return the records of a file, each once, and how many were read, empty and duplicate.

    Raises:
        GradsError: a row holds no record, or no row a usable one; names its place.
    """
    from grads.data.records.layouts import read_records

    records, counts = read_records(data, fields, loss_turns, metadata, leave)
    if not counts["read"]:
        raise GradsError(f"{data} holds no record: give a file with some")
    if not records:
        raise GradsError(f"{data}: none of {counts['read']} records has a question and an answer: add them")
    return records, counts


def check_encoders(folders: Mapping[str, str]) -> None:
    """Refuse a sentence encoder whose name is none that a config could have, or whose folder is not there."""
    from grads.config.section import NAME
    from grads.study.paths import OTHERS

    for name, folder in folders.items():
        if not re.fullmatch(NAME, name) or name.endswith(OTHERS):
            endings = " or ".join(OTHERS)
            raise GradsError(
                f"--encoder {name}={folder}: '{name}' is no name: use a-z, 0-9, - and _ only, and no {endings} at the "
                "end"
            )
        if not Path(folder).is_dir():
            raise GradsError(f"--encoder {name}={folder}: there is no such folder: give one that save_pretrained wrote")


def check_method(
    name: str,
    parameters: Mapping[str, Any],
    ratio: str,
    encoders: Collection[str],
    others: Collection[str] = (),
    chain: tuple[str, ...] = (),
) -> set[str]:
    """Refuse, before any work, what could not select; a method that another refers to has its defaults.

    Args:
        name: of the method.
        parameters: those that differ from its defaults.
        ratio: keep ratio.
        encoders: names of the sentence encoders that are given.
        others: which further records are given: `validation`, `anchor`.
        chain: the methods that refer to this one.

    Returns:
        The files that the methods read in addition to the records.

    Raises:
        GradsError: no such method or parameter, a control that selects nothing, methods that refer to each other in a
            circle, an encoder or further records that are not given, or `auto` for a method that finds no number of
            records.
    """
    from grads.config.ratios import AUTO
    from grads.selection.registry import find_method, parse_parameters

    method = find_method(name)
    if method.fixed_ratio is not None or method.equal_steps:
        raise GradsError(f"method '{name}' is a control that selects nothing: `grads list methods` shows others")
    if name in chain:
        raise GradsError(f"the methods {', '.join(chain)} refer to each other in a circle: choose another reference")
    try:
        parsed = parse_parameters(method, parameters)
    except GradsError as error:
        raise error.after("--parameter") from None
    needs = method.needs(parsed)
    if ratio == AUTO and needs.count_of is None and method.automatic_count(parsed) is None:
        raise GradsError(
            f"--ratio {AUTO}: method '{name}' with these parameters finds no number of records by itself: give a ratio"
        )
    _check_needs(name, needs, encoders, others)
    files = set(needs.files)
    for other in needs.references(ratio == AUTO):
        files |= check_method(other, {}, ratio, encoders, others, (*chain, name))
    return files


def _check_needs(name: str, needs: "Needs", encoders: Collection[str], others: Collection[str]) -> None:
    """Refuse a method that reads what is not given."""
    from grads.study.paths import TRAIN, WARMUP, store_point

    for file in needs.files:
        if not Path(file).is_file():
            raise GradsError(f"--parameter: {file} is no file: name one, by its path from the working folder")
    points = {store: store_point(store) for store in needs.stores}
    read = {records for _point, _encoder, records in points.values()} | needs.texts
    for records in sorted(read - {TRAIN, *others}):
        raise GradsError(
            f"method '{name}' reads {records} records, which are not given: add --{records} FILE, "
            f"{OTHER_RECORDS.get(records, 'or use a study')}"
        )
    if any(point == WARMUP for point, _encoder, _records in points.values()):
        raise GradsError(f"--parameter: method '{name}' with these reads a warm-up of its own: use a study")
    for store, (_point, encoder, _records) in points.items():
        if encoder is not None and encoder not in encoders:
            raise GradsError(
                f"--parameter encoder={encoder}: no encoder has that name: add --encoder {encoder}=FOLDER, the folder "
                f"of a sentence encoder whose vectors the signals '{store}' are"
            )


def check_strategy(name: str, parameters: Mapping[str, Any], selected: bool = False) -> Mapping[str, Collection[str]]:
    """Refuse, before any work, a strategy that one file of records cannot be trained with; return the stores it needs.

    Args:
        name: of the strategy.
        parameters: those that differ from its defaults.
        selected: whether a selection is given, with its weights.

    Raises:
        GradsError: no such strategy or parameter, or one that reads what is not given.
    """
    from grads.training.strategies.registry import find_strategy, parse_parameters

    strategy = find_strategy(name)
    try:
        needs = strategy.needs(parse_parameters(strategy, parameters))
    except GradsError as error:
        raise error.after("--strategy-parameter") from None
    study_only = {
        "general records": needs.replay > 0 or needs.fisher,
        "a selection's weights": needs.weights and not selected,
        "the model's own answers": needs.own_answers,
        "another arm's run": needs.run is not None,
        "the prompts of a test set": needs.test_prompts,
    }
    if missing := next((what for what, read in study_only.items() if read), None):
        raise GradsError(f"--strategy {name}: it reads {missing}, which one file of records has not: use a study")
    return needs.stores


READ_BY_GRADS = {"tokens": (), "base": ("hidden",), "warm": ("gradients",), "during": ("gradients",)}
"""What is measured at each point if nothing is said: what the method `grads` reads there."""


def asked_signals(names: Sequence[str] | None, point: str) -> list[str]:
    """Return the names of the signals that are asked for at a point, each of which there is.

    Raises:
        GradsError: one is unknown, there are none, or at this point there is nothing to choose.
    """
    from grads.signals.names import known_measures

    if names is None:
        return list(READ_BY_GRADS.get(point, ()))
    if not READ_BY_GRADS.get(point):
        raise GradsError(f"--signals: at the point '{point}' there is nothing to choose: remove it")
    for name in names:
        if name not in known_measures():
            raise GradsError(f"--signals {name}: {nearest(name, known_measures())}")
    if not names:
        raise GradsError("--signals: it names none: name some, or remove it for those that `grads` reads")
    if "mean_abs" in names and not {"gradients", "adapter"} & set(names):
        raise GradsError("--signals mean_abs: it is one more statistic of others: add gradients or adapter")
    return list(names)


def check_signals(asked: Collection[str], point: str, training: "Training") -> None:
    """Refuse, before any work, what could not be measured at the point."""
    from grads.signals.names import ADAM_FEATURES, FEATURES

    if ADAM_FEATURES in asked and (point != "warm" or training.weights != "lora"):
        raise GradsError(
            f"--signals {ADAM_FEATURES}: only after the preliminary epoch of an adapter are there moments of Adam: set "
            "--point warm and --training weights=lora, or take sgd_features"
        )
    adapted = point != "base" or {"adapter", *FEATURES} & set(asked)
    if "weights" in asked and training.weights == "lora" and adapted:
        raise GradsError(
            "--signals weights: it is of all weights, and there is an adapter here: set --training weights=full"
        )


METRICS = ("bleu", "chrf")
"""What answers are measured by if nothing is said."""


def metric_setting(names: Sequence[str], language: str, wordnet: Path) -> "tuple[list[str], Setting]":
    """Return the metrics that are asked for, and what they are given in addition to the predictions.

    Raises:
        GradsError: there is no such metric or language, or METEOR is asked for and WordNet is not there.
    """
    from grads.evaluation.metrics.contract import LANGUAGES, Setting
    from grads.evaluation.metrics.registry import computed, find_metric, metrics

    check_choice(language, LANGUAGES, "--language")
    if not names:
        raise GradsError("--metric: there is none: name some")
    for name in names:
        check_choice(name, tuple(computed(metrics())), "--metric")
    needed = any(find_metric(name).needs_wordnet(language) for name in names)
    if needed and not wordnet.is_dir():
        raise GradsError(f"--wordnet {wordnet} is not there, and METEOR needs it: name a folder with WordNet 3.0")
    return list(names), Setting(language, wordnet if needed else None)
