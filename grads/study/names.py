"""Names in a config: what may not be called so, what is called alike, and what is not there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError, nearest
from grads.study.config import Study
from grads.study.data_files import data_files
from grads.study.paths import BY_SEED

ARCHIVE_SUFFIXES = (".whl", ".tar.gz", ".zip")
# What no task is called, for files and claims mean something else by it.
TAKEN = {
    "text": "the general text",
    "general": "the mean over all tasks in claims",
    **dict.fromkeys(("nll", "kl"), "a measure of drift in claims"),
}


def check_names(study: Study, where: str) -> None:
    """Refuse names that point nowhere, that two things share, or that would be a folder of something else.

    Raises:
        GradsError: the first such name.
    """
    for problem in (_missing_archive, _bad_archive, _same_title, _reserved):
        sentence = problem(study)
        if sentence:
            raise GradsError(f"{where}: {sentence}")


def check_files(study: Study) -> None:
    """Refuse a study whose own files are not there, task files included, or are folders where a file is meant.

    Raises:
        GradsError: the first missing file, with the nearest name in its folder.
    """
    folders = {
        **{f"models.{k}.source.path": getattr(m.source, "path", None) for k, m in study.models.items()},
        **{f"scorers.{k}.source.path": getattr(m.source, "path", None) for k, m in study.scorers.items()},
        **{f"encoders.{k}.source.path": getattr(e.source, "path", None) for k, e in study.encoders.items()},
    }
    paths = {
        **folders,
        **{f"domains.{k}.source.path": getattr(d.source, "path", None) for k, d in study.domains.items()},
        **{f"general.tasks.{k}.yaml": t.yaml for k, t in study.general.tasks.items()},
        **{f"general.tasks.{k}.data.path": getattr(t.data, "path", None) for k, t in study.general.tasks.items()},
        "general.text.source.path": getattr(study.general.text.source, "path", None),
        "general.instructions.source.path": getattr(_instructions(study), "path", None),
        "claims": study.claims if isinstance(study.claims, str) else None,
    }
    for key, path in paths.items():
        if path is not None and not Path(path).exists():
            folder = Path(path).parent
            names = [found.name for found in folder.glob(f"*{Path(path).suffix}")] if folder.is_dir() else []
            hint = nearest(Path(path).name, names) if names else f"there is none like it in {folder}"
            hint = hint if folder.is_dir() else f"there is no folder {folder}"
            raise GradsError(f"'{key}': {path} is not there (paths are relative to the working folder): {hint}")
        if path is not None and key not in folders and Path(path).is_dir():
            if not key.endswith(".path"):
                raise GradsError(f"'{key}': {path} is a folder: name a file in it")
            try:
                data_files(Path(path))
            except GradsError as error:
                raise GradsError(f"'{key}': {error}") from None


def _missing_archive(study: Study) -> str | None:
    for place, archive in _archive_uses(study):
        if archive not in study.archives:
            return f"{place} names the archive '{archive}': {nearest(archive, study.archives)}"
    return None


def _instructions(study: Study) -> Any:
    """Return the source of the general instructions, None where there are none."""
    return study.general.instructions.source if study.general.instructions else None


def _archive_uses(study: Study) -> list[tuple[str, str]]:
    sources: dict[str, Any] = {
        **{f"encoders.{k}.source": e.source for k, e in study.encoders.items()},
        **{f"models.{k}.source": m.source for k, m in study.models.items()},
        **{f"scorers.{k}.source": m.source for k, m in study.scorers.items()},
        **{f"domains.{k}.source": d.source for k, d in study.domains.items()},
        **{f"general.tasks.{k}.data": t.data for k, t in study.general.tasks.items()},
        "general.text.source": study.general.text.source,
        "general.instructions.source": _instructions(study),
        "evaluation.wordnet": study.evaluation.wordnet,
    }
    return [(place, source.archive) for place, source in sources.items() if hasattr(source, "archive")]


def _bad_archive(study: Study) -> str | None:
    owners: dict[str, str] = {}
    for name, archive in study.archives.items():
        key = f"archives.{name}.file"
        if "/" in archive.file or "\\" in archive.file or not archive.file.endswith(ARCHIVE_SUFFIXES):
            return f"'{key}': {archive.file!r} is no plain name of a {', '.join(ARCHIVE_SUFFIXES)} file: write one"
        if archive.file in owners:
            return f"'{key}': {archive.file} is also the file of '{owners[archive.file]}': name one of them everywhere"
        owners[archive.file] = name
    return None


def _same_title(study: Study) -> str | None:
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
            if not title:
                return f"'{section}.{name}.title' is empty: say how tables call it"
            if title in owners:
                return f"'{section}.{name}.title': '{title}' is also the title of '{owners[title]}': change one"
            owners[title] = name
    return None


def _reserved(study: Study) -> str | None:
    """Refuse names whose files would be those of something else."""
    if study.study == "reference":
        return "'study': results/reference holds the tables that come with grads: choose another name"
    for name in BY_SEED:
        if name in study.arms:
            return f"an arm cannot be called '{name}', which is the name of a run that signals come from: rename it"
    for name, arm in study.arms.items():
        if (name == "untuned") != (arm.method == "untuned"):
            return f"'arms.{name}': the arm of the method 'untuned' is called 'untuned', and no other is: rename it"
    for name in study.scorers:
        if name in study.models:
            return f"'scorers.{name}': this is also a key of 'models', which arms may score with: remove one"
    for name in study.every_model:
        if name.endswith("-untuned"):
            return f"the model '{name}': names that end in '-untuned' are of the untuned models' results: rename it"
    for name in study.general.tasks:
        if name in TAKEN:
            return f"'general.tasks.{name}': '{name}' is the name of {TAKEN[name]}: rename the task"
    return None
