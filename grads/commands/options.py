"""What the user typed, made into settings, with one sentence for what is wrong."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from grads.runtime.errors import GradsError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from grads.study.config import FileSource

    Section = TypeVar("Section", bound=BaseModel)


def assignments(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """Return `key=value` pairs as a mapping; dots in keys open inner mappings, values are read as YAML.

    Raises:
        GradsError: a pair has no `=`, or a key is given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise GradsError(f"{option} {pair}: found no key and value: write {option} key=value")
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
        GradsError: an unknown key, with the nearest valid one, or a value that is not allowed.
    """
    from pydantic import ValidationError

    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise GradsError(f"{option}: unknown key '{key}': {nearest(key, kind.model_fields)}") from None
        raise GradsError(f"{option}: '{key}': {first['msg']}; found {first['input']!r}") from None


def ratio_of(text: str) -> str:
    """Return a keep ratio in its one spelling.

    Raises:
        GradsError: it is not a number above 0 and at most 1.
    """
    from grads.study.ratios import canonical_ratio

    try:
        return canonical_ratio(text)
    except ValueError as error:
        raise GradsError(f"--ratio: {error}") from None


def model_source(text: str) -> "FileSource":
    """Return the source of a model that the user named: a `save_pretrained` folder or a .gguf file.

    Raises:
        GradsError: there is no such folder or file.
    """
    from grads.study.config import FileSource

    if not Path(text).exists():
        raise GradsError(
            f"--model {text}: there is no such folder or file: give a save_pretrained folder or a .gguf file"
        )
    return FileSource(kind="file", path=text)
