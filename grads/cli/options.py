"""What the user typed, made into settings, with one sentence for what is wrong."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError


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
