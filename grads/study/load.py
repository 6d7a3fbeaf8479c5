"""Reading a study's config, and saying in one sentence what is wrong with it."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from grads.runtime.errors import GradsError, nearest
from grads.study.config import Study


def read_study(path: Path | str) -> Study:
    """Read and check one config file.

    Raises:
        GradsError: the file is missing, is not YAML, or is not a valid study.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise GradsError(f"{path}: cannot be read ({error.strerror}); give the path of a study's YAML file") from None
    except yaml.YAMLError as error:
        raise GradsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_study(content, where=str(path))


def parse_study(content: Any, where: str = "config") -> Study:
    """Check a config that is already read.

    Raises:
        GradsError: the first thing that is wrong, with the key, what was found and what is valid.
    """
    if not isinstance(content, dict):
        raise GradsError(f"{where}: a study's config is a mapping with keys such as 'study', 'models', 'domains'")
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise GradsError(f"{where}: {_sentence(error, content)}") from None
    _check_names(study, where)
    return study


def _sentence(error: ValidationError, content: dict[str, Any]) -> str:
    first = error.errors()[0]
    location = _location(first["loc"])
    key = ".".join(str(part) for part in location) or "the study"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}': {nearest(str(location[-1]), _valid_keys(location[:-1]))}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    found = first["input"]
    if first["type"].startswith(("float", "int")) and isinstance(found, str) and _is_number(found):
        return f"'{key}' is the text '{found}', not a number: YAML reads 2e-5 as text, write 2.0e-5"
    return f"'{key}': {first['msg'].removeprefix('Value error, ')}; found {found!r}"[:600]


def _location(parts: tuple[Any, ...]) -> list[Any]:
    """Return the keys of the YAML file that lead to an error, without the marks that Pydantic adds."""
    marks = {"file", "pypi", "tiny", "glossary", "lettered", "hub"}
    return [
        part
        for before, part in zip((None, *parts), parts, strict=False)
        if part != "[key]" and not (before in {"source", "data"} and part in marks)
    ]


def _valid_keys(location: list[Any]) -> set[str]:
    """Return the keys that the config allows at a place; empty where the place is a union of sections."""
    section: Any = Study
    for part in location:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[part].annotation if part in section.model_fields else None
            continue
        section = next((a for a in getattr(section, "__args__", ()) if isinstance(a, type) and a is not str), None)
        section = getattr(section, "__origin__", section)
    if isinstance(section, type) and issubclass(section, BaseModel):
        return set(section.model_fields)
    members = [a for a in getattr(section, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
    return {name for member in members for name in member.model_fields}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_names(study: Study, where: str) -> None:
    """Refuse names that point nowhere."""
    for place, archive in _archive_uses(study):
        if archive not in study.archives:
            raise GradsError(f"{where}: {place} names the archive '{archive}': {nearest(archive, study.archives)}")
    for name in ("warm", "during"):
        if name in study.arms:
            raise GradsError(
                f"{where}: an arm cannot be called '{name}', which is the name of the preliminary epoch: rename it"
            )


def _archive_uses(study: Study) -> list[tuple[str, str]]:
    sources: dict[str, Any] = {
        **{f"models.{k}.source": m.source for k, m in study.models.items()},
        **{f"encoders.{k}.source": e.source for k, e in study.encoders.items()},
        **{f"domains.{k}.source": d.source for k, d in study.domains.items()},
        **{f"general.tasks.{k}.data": t.data for k, t in study.general.tasks.items()},
        "general.text.source": study.general.text.source,
        "evaluation.wordnet": study.evaluation.wordnet,
    }
    return [(place, source.archive) for place, source in sources.items() if hasattr(source, "archive")]
