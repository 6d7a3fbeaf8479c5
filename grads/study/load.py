"""Reading a study's config, and saying in one sentence what is wrong with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from grads.runtime.errors import GradsError, nearest
from grads.study.config import Study
from grads.study.names import check_names


def read_study(path: Path | str) -> Study:
    """Read and check one config file.

    Raises:
        GradsError: the file is missing, is not YAML, or is not a valid study.
    """
    return parse_study(read_yaml(path), where=str(path))


def read_yaml(path: Path | str) -> Any:
    """Read one config file, refusing a key that is written twice: YAML would silently keep the last of them.

    Raises:
        GradsError: the file is missing, is not YAML, or has a key twice.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except OSError as error:
        raise GradsError(f"{path}: cannot be read ({error.strerror}); give the path of a study's YAML file") from None
    except UnicodeDecodeError:
        raise GradsError(f"{path}: is not UTF-8 text; give the path of a study's YAML file") from None
    except (yaml.YAMLError, ValueError) as error:
        raise GradsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key written twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _value in node.value:
            # What is no scalar is refused below: it cannot be a key.
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise yaml.YAMLError(
                    f"line {key.start_mark.line + 1}: the key '{key.value}' is there twice: remove one"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


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
        # A key or value may itself hold line breaks, and an error is one line.
        raise GradsError(f"{where}: {' '.join(_sentence(error, content).split())}") from None
    check_names(study, where)
    return study


def _sentence(error: ValidationError, content: dict[str, Any]) -> str:
    first = error.errors()[0]
    location = _location(first["loc"])
    key = ".".join(str(part) for part in location) or "the study"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}': {nearest(str(location[-1]), valid_keys(Study, location[:-1]))}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    found = first["input"]
    if first["type"].startswith(("float", "int")) and isinstance(found, str) and _is_number(found):
        return f"'{key}' is the text '{found}', not a number: YAML reads 2e-5 as text, write 2.0e-5"
    return f"'{key}': {first['msg'].removeprefix('Value error, ')}; found {found!r}"[:600]


def _location(parts: tuple[Any, ...]) -> list[Any]:
    """Return the keys of the YAML file that lead to an error, without the marks that Pydantic adds."""
    marks = {"file", "pypi", "tiny", "glossary", "lettered", "hub", "harness"}
    return [
        part
        for before, part in zip((None, *parts), parts, strict=False)
        if part != "[key]"
        and not str(part).startswith("list[")
        and not (before in {"source", "data"} and part in marks)
    ]


def valid_keys(section: Any, location: Sequence[Any]) -> set[str]:
    """Return the keys that a section of the config allows at a place; empty where that is a union of sections."""
    for part in location:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[part].annotation if part in section.model_fields else None
            continue
        inner = getattr(section, "__args__", ())
        section = next((a for a in inner if get_origin(a) is list or (isinstance(a, type) and a is not str)), None)
        section = section if get_origin(section) is list else getattr(section, "__origin__", section)
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
