"""What the user typed, made into settings, with one sentence for what is wrong."""

import contextlib
import re
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from grads.runtime.errors import GradsError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from grads.config.section import LossTurns
    from grads.config.sources import FileSource, HubSource
    from grads.data.records.record import Record
    from grads.selection.contract import Needs

    Section = TypeVar("Section", bound=BaseModel)

# `owner/name` or `owner/name@revision`; what begins with a dot is a path.
HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\S+))?")


def assignments(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """Return `key=value` pairs as a mapping; dots in keys open inner mappings, values are read as YAML.

    Raises:
        GradsError: a pair has no `=`, or a key is given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, text = _halves(pair, option, "KEY=VALUE")
        *outer, last = key.split(".")
        inner = found
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise GradsError(f"{option} {pair}: '{part}' has a value already: give one or the other")
        if last in inner:
            raise GradsError(f"{option} {pair}: '{key}' is given twice: give it once")
        inner[last] = _value(text, f"{option} {pair}")
    return found


def texts(pairs: Iterable[str], option: str, shape: str) -> dict[str, str]:
    """Return `key=text` pairs as a mapping, as they are.

    Raises:
        GradsError: a pair has no `=`, or a key is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, text = _halves(pair, option, shape)
        if key in found:
            raise GradsError(f"{option} {pair}: '{key}' is given twice: give it once")
        found[key] = text
    return found


def _halves(pair: str, option: str, shape: str) -> tuple[str, str]:
    key, equals, text = pair.partition("=")
    if not equals or not key or not text:
        raise GradsError(f"{option} {pair}: found no {shape}: write {option} {shape}")
    return key, text


def _value(text: str, place: str) -> Any:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise GradsError(f"{place}: the value is not YAML: put it in quotes") from None
    if isinstance(value, str):
        # YAML reads 2e-5 as text; on a command line it is meant as a number.
        with contextlib.suppress(ValueError):
            return float(value)
    return value


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


def check_out(out: Path, suffix: str, data: Path) -> None:
    """Refuse an output that has another suffix, is a folder, or is the data themselves."""
    if out.suffix != suffix:
        raise GradsError(f"--out {out}: give it a name that ends in {suffix}, which is what is written")
    if out.is_dir():
        raise GradsError(f"--out {out} is a folder: give the name of a file")
    if out.resolve() == data.resolve():
        raise GradsError(f"--out {out} is the data itself: give another name")
    if data.is_dir() and data.resolve() in out.resolve().parents:
        raise GradsError(f"--out {out} would be a file among the data: give another folder")


def check_absent(out: Path) -> None:
    """Refuse an output folder that is there."""
    if out.exists():
        raise GradsError(f"--out {out} is there already: give another name, or remove it")


def check_method(
    name: str, parameters: Mapping[str, Any], ratio: str, encoders: Collection[str], chain: tuple[str, ...] = ()
) -> set[str]:
    """Refuse, before any work, what could not select; a method that another refers to has its defaults.

    Returns:
        The files that the methods read beside the records.

    Raises:
        GradsError: no such method or parameter, a control that selects nothing, methods that refer to each other in a
            circle, an encoder that is not given, records that one file has not, or `auto` for a method that finds no
            number of records.
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
    _check_needs(name, needs, encoders)
    files = set(needs.files)
    for other in needs.references(ratio == AUTO):
        files |= check_method(other, {}, ratio, encoders, (*chain, name))
    return files


def _check_needs(name: str, needs: "Needs", encoders: Collection[str]) -> None:
    """Refuse a method that reads what one file of records has not."""
    from grads.study.paths import TRAIN, store_point

    for file in needs.files:
        if not Path(file).is_file():
            raise GradsError(f"--parameter: {file} is no file: name one, by its path from the working folder")
    for split in sorted(needs.texts - {TRAIN}):
        raise GradsError(f"method '{name}' reads texts of {split} records, which one file has not: use a study")
    for store in needs.stores:
        _point, encoder, records = store_point(store)
        if records != TRAIN:
            raise GradsError(f"method '{name}' reads signals of {records} records, which one file has not: use a study")
        if encoder is not None and encoder not in encoders:
            raise GradsError(
                f"--parameter encoder={encoder}: no encoder has that name: add --encoder {encoder}=FOLDER, the folder "
                "of a sentence encoder"
            )


def check_strategy(name: str, parameters: Mapping[str, Any]) -> Mapping[str, Collection[str]]:
    """Refuse, before any work, a strategy that one file of records cannot be trained with; return the stores it needs.

    Raises:
        GradsError: no such strategy or parameter, or one that reads what only a study has.
    """
    from grads.training.strategies.registry import find_strategy, parse_parameters

    strategy = find_strategy(name)
    try:
        needs = strategy.needs(parse_parameters(strategy, parameters))
    except GradsError as error:
        raise error.after("--strategy-parameter") from None
    study_only = {
        "general records": needs.replay > 0 or needs.fisher,
        "a selection's weights": needs.weights,
        "the model's own answers": needs.own_answers,
        "another arm's run": needs.run is not None,
        "the prompts of a test set": needs.test_prompts,
    }
    if missing := next((what for what, read in study_only.items() if read), None):
        raise GradsError(f"--strategy {name}: it reads {missing}, which one file of records has not: use a study")
    return needs.stores
