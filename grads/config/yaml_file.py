"""Reading YAML that a person wrote: keys once, nothing that explodes, no text that cannot be written again."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from grads.runtime.errors import GradsError

LARGEST_FILE = 4_000_000
"""Bytes of a file that is still read; thousands of arms take a tenth of it."""
LARGEST_CONTENT = 1_000_000
"""Values of a file, those that an alias repeats counted each time."""


class UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key written twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping, each of whose keys is there once."""
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


def read_yaml(path: Path | str, what: str = "a study's YAML file", loader: type[yaml.SafeLoader] = UniqueKeys) -> Any:
    """Read one YAML file, refusing a key that is written twice: YAML would silently keep the last of them.

    Args:
        path: the file.
        what: how the error calls what the path should be of.
        loader: what it is read with.

    Raises:
        GradsError: the file is missing, too large, is not YAML, has a key twice, is nested without end, or holds text
            that is no Unicode.
    """
    try:
        if Path(path).stat().st_size > LARGEST_FILE:
            raise GradsError(f"{path}: is larger than {LARGEST_FILE / 1e6:g} MB; give the path of {what}")
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=loader)
    except OSError as error:
        raise GradsError(f"{path}: cannot be read ({error.strerror}); give the path of {what}") from None
    except UnicodeDecodeError:
        raise GradsError(f"{path}: is not UTF-8 text; give the path of {what}") from None
    except RecursionError:
        raise GradsError(f"{path}: brackets or lists are nested too deep to be read; close them") from None
    except (yaml.YAMLError, ValueError) as error:
        raise GradsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        check_content(content)
    except GradsError as error:
        raise error.after(path) from None
    return content


def check_content(content: Any) -> None:
    """Refuse what could not be printed, hashed or written again.

    Raises:
        GradsError: aliases repeat more than LARGEST_CONTENT values, or without end, or a text holds half of a surrogate
            pair or a control character.
    """
    try:
        size = _size(content, {}, set())
        texts = list(_texts(content, "", set()))
    except RecursionError:
        raise GradsError("brackets or lists are nested too deep to be read: close them") from None
    if size > LARGEST_CONTENT:
        raise GradsError(f"aliases (*) repeat more than {LARGEST_CONTENT:,} values: write out what is meant")
    for place, text in texts:
        for character in "" if text.isprintable() else text:
            if character in "\n\t\r" or unicodedata.category(character) not in ("Cc", "Cs"):
                continue
            what = "half of a surrogate pair" if unicodedata.category(character) == "Cs" else "a control character"
            raise GradsError(f"'{place}' holds {what}, {character!r}: take it away")


def _size(value: Any, known: dict[int, int], open_: set[int]) -> int:
    """Return how many values a value is made of, each alias counted as what it repeats."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) in open_:
        raise GradsError("an alias (*) repeats what it stands in: write out what is meant")
    if id(value) not in known:
        open_.add(id(value))
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(one, known, open_) for one in inner)
        open_.remove(id(value))
    return known[id(value)]


def _texts(value: Any, place: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Yield all texts in a value, keys too, each with the keys that lead to it; what an alias repeats once."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict | list) and id(value) not in seen:
        seen.add(id(value))
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            there = f"{place}.{key}".lstrip(".")
            if isinstance(key, str):
                yield there, key
            yield from _texts(inner, there, seen)
