"""Names in a config: what may not be called so, what is called alike, and what is not there."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grads.config.sources import BUILT_IN, Source
from grads.config.study import Study
from grads.runtime.errors import GradsError, nearest, quoted
from grads.runtime.shipped import located
from grads.study.claim_sentences import DRIFT
from grads.study.data_files import DATA_SUFFIXES, PACKED_SUFFIXES, data_files, format_of
from grads.study.paths import BY_SEED, OTHERS

ARCHIVE_SUFFIXES = (".whl", ".tar.gz", ".zip")
ARCHIVE_NAME = re.compile(r"[A-Za-z0-9][\w.+!-]*")
JUDGED = "evaluation.verdicts"
# In the key of the records that a model is taught.
TAUGHT = ".taught."
# What no task is called, for files and claims mean something else by it.
TAKEN = {
    "text": "the general text",
    "general": "the mean over all tasks in claims",
    "mean": "the mean over all tasks in tables",
    **dict.fromkeys(DRIFT, "a measure of drift in claims"),
}

# What no model and no domain is called, for rows of tables over all of them are.
OVER_ALL = ("mean", "pooled")


def check_names(study: Study) -> None:
    """Refuse names that point nowhere, that two things share, or that would be a folder of something else.

    Raises:
        GradsError: all such names.
    """
    checks = (
        _missing_archives,
        _bad_archives,
        _bad_titles,
        _reserved,
        _reserved_endings,
        _reserved_in_tables,
        _bad_paths,
    )
    found = [sentence for check in checks for sentence in check(study)]
    if found:
        raise GradsError(*found)


def check_files(study: Study) -> None:
    """Refuse a study whose own files are not there, task files included, or are folders where a file is meant.

    Raises:
        GradsError: all missing files, each with the nearest name in its folder, and those of another suffix.
    """
    sources = {f"{key}.{part}": source for key, source in study.sources.items() for part in source.own_paths}
    paths = {key: located(path) for key, path in _paths(study).items()}
    found = [sentence for key, path in paths.items() for sentence in _missing_file(key, path, sources.get(key))]
    found += _bad_suffixes(study)
    if found:
        raise GradsError(*found)


def _missing_file(key: str, path: Path, source: Source | None) -> Iterator[str]:
    """Yield what is wrong with a path of the user's own, which may be that of a source."""
    may_be_folder = _is_model(key) or key.startswith("encoders.")
    if not path.exists():
        folder = path.parent
        names = [one.name for one in folder.glob(f"*{path.suffix}") if folder.is_dir() and one.name[0] != "."]
        hint = nearest(path.name, names) if names else f"there is none like it in {folder}"
        if not folder.is_dir():
            hint = f"there is no folder {folder}"
        yield f"'{key}': {path} is not there (paths are relative to the working folder); {hint}"
    elif path.is_dir() and not may_be_folder:
        yield from _bad_folder(key, path, source)
    elif path.is_file() and _is_model(key) and _is_data(key, source) and path.suffix != ".gguf":
        yield f"'{key}': {path} is a file, and no .gguf one: name a folder that save_pretrained wrote, or a .gguf file"


def _is_model(key: str) -> bool:
    return key.startswith(("models.", "scorers.")) and TAUGHT not in key


def _is_data(key: str, source: Source | None) -> bool:
    """Whether a key of a source gives a file whose suffix says how it is read."""
    return source is not None and key.rpartition(".")[2] in source.data_names


def _bad_folder(key: str, path: Path, source: Source | None) -> Iterator[str]:
    """Yield what is wrong with a folder in place of a file: data may be a folder of shards."""
    try:
        if source is not None:
            for folder in filter(Path.is_dir, source.own_files):
                data_files(folder)
        elif key.startswith(JUDGED):
            data_files(path)
        else:
            yield f"'{key}': {path} is a folder: name a file in it"
    except GradsError as error:
        yield f"'{key}': {error}"


def _paths(study: Study) -> dict[str, str]:
    """Return every path of the config to something of the user's own, by its key."""
    sources = {
        f"{key}.{part}": path for key, source in study.sources.items() for part, path in source.own_paths.items()
    }
    tasks = {f"general.tasks.{name}.yaml": task.yaml for name, task in study.general.tasks.items()}
    further = {"claims": study.claims if isinstance(study.claims, str) else None} | _judgements(study)
    return {key: path for key, path in (sources | tasks | further).items() if path is not None}


def _judgements(study: Study) -> dict[str, str]:
    """Return the path of judgements by its key, where there are some."""
    given = study.evaluation.verdicts
    if given is None:
        return {}
    return {JUDGED: given} if isinstance(given, str) else {f"{JUDGED}.path": given.path}


def _bad_paths(study: Study) -> Iterator[str]:
    for key, path in _paths(study).items():
        # Snakemake would take what stands in braces for a wildcard.
        if bad := sorted(set(path) & set("{}\n\t\r")):
            yield f"'{key}': the path {quoted(path)} holds {bad[0]!r}, which no path here may: rename the file"
        if not path.strip():
            yield f"'{key}' is empty: give a path"


def _bad_suffixes(study: Study) -> Iterator[str]:
    """Yield what is wrong with the suffixes by which files of data are read."""
    packed = f"{', '.join(DATA_SUFFIXES)}, packed ({', '.join(PACKED_SUFFIXES)}) or not"
    for key, name in _judgements(study).items():
        if format_of(name) is None and Path(name).is_file():
            yield f"'{key}': '{name}' is none of {packed}: convert the file to one of them"
    for key, source in study.sources.items():
        if key == "evaluation.wordnet" or key.startswith("encoders."):  # They are folders.
            continue
        for part, name in source.data_names.items():
            archived = part not in source.own_paths
            if _is_model(key):
                if archived and not name.endswith(".gguf"):
                    only = "the only one that is read from an archive"
                    yield f"'{key}.{part}': '{name}' is no .gguf file, {only}: name one"
            elif format_of(name) is None and (archived or located(name).is_file()):
                yield f"'{key}.{part}': '{name}' is none of {packed}: convert the data to one of them"


def _missing_archives(study: Study) -> Iterator[str]:
    for place, source in study.sources.items():
        archive = source.archive_key
        if archive is not None and archive not in study.every_archive:
            yield f"{place} names the archive '{archive}': {nearest(archive, {**BUILT_IN, **study.archives})}"


def _bad_archives(study: Study) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, archive in study.every_archive.items():
        key = f"archives.{name}.file"
        if not ARCHIVE_NAME.fullmatch(archive.file) or not archive.file.endswith(ARCHIVE_SUFFIXES):
            yield f"'{key}': {archive.file!r} is no plain name of a {', '.join(ARCHIVE_SUFFIXES)} file: write one"
        elif archive.file in owners:
            yield f"'{key}': {archive.file} is also the file of '{owners[archive.file]}': name one of them everywhere"
        owners[archive.file] = name


def _bad_titles(study: Study) -> Iterator[str]:
    sections: dict[str, Mapping[str, Any]] = {
        "models": study.models,
        "scorers": study.scorers,
        "domains": study.domains,
        "general.tasks": study.general.tasks,
    }
    for section, entries in sections.items():
        owners: dict[str, str] = {}
        for name, entry in entries.items():
            title = " ".join(entry.title.split())
            if not any(unicodedata.category(character)[0] in "LNPS" for character in title):
                yield f"'{section}.{name}.title' is empty: say how tables call it"
            elif title in owners:
                yield f"'{section}.{name}.title': '{title}' is also the title of '{owners[title]}': change one"
            owners[title] = name


def _reserved(study: Study) -> Iterator[str]:
    """Refuse names whose files would be those of something else."""
    if study.study == "reference":
        yield "'study': results/reference holds the tables that come with grads: choose another name"
    for name in BY_SEED:
        if name in study.arms:
            yield f"an arm cannot be called '{name}', which is the name of a run that signals come from: rename it"
    for name, arm in study.arms.items():
        if (name == "untuned") != (arm.method == "untuned"):
            yield f"'arms.{name}': the arm of the method 'untuned' is called 'untuned', and no other is: rename it"
    for name in study.scorers:
        if name in study.models:
            yield f"'scorers.{name}': this is also a key of 'models', which arms may score with: remove one"


def _reserved_endings(study: Study) -> Iterator[str]:
    """Refuse names whose endings say in the name of a folder that it is of something else."""
    for name in study.every_model:
        if name.endswith("-untuned"):
            yield f"the model '{name}': names that end in '-untuned' are of the untuned models' results: rename it"
    for name in study.encoders:
        for other in OTHERS:
            if name.endswith(other):
                records = other.removeprefix("-")
                yield (
                    f"'encoders.{name}': names that end in '{other}' are of an encoder's signals of {records} records: "
                    "rename it"
                )


def _reserved_in_tables(study: Study) -> Iterator[str]:
    """Refuse names by which tables call something else."""
    for section in ("models", "domains"):
        for name in getattr(study, section):
            if name in OVER_ALL:
                yield f"'{section}.{name}': tables call a row over all {section} '{name}': rename it"
    for name in study.general.tasks:
        if name in TAKEN:
            yield f"'general.tasks.{name}': '{name}' is the name of {TAKEN[name]}: rename the task"
