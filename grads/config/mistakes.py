"""What is wrong with a part of a config, in sentences: all mistakes at once, each with its key."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from grads.config.aliases import known_as
from grads.config.section import PATTERNS, WhereToFind
from grads.runtime.errors import LONGEST, nearest, quoted

Location = tuple[str | int, ...]
# What a value must be, by what Pydantic calls its being something else.
WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_sub_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "literal_error": "{expected}",
    "invalid_key": "keys that are text, in quotes if need be",
}
NUMBERS = {"int_type", "int_from_float", "float_type"}


@dataclass(frozen=True)
class Mistake:
    """One of Pydantic's findings.

    Attributes:
        kind: what Pydantic calls it.
        location: the keys of the file that lead to it.
        branch: of a value that may be one of several things, which of them Pydantic tried; empty elsewhere.
        found: the value.
        context: what the limits are.
        message: Pydantic's own, or that of a check of ours.
    """

    kind: str
    location: Location
    branch: str
    found: Any
    context: Mapping[str, Any]
    message: str

    @property
    def key(self) -> str:
        """The place as one writes it."""
        return ".".join(map(str, self.location))


@dataclass(frozen=True)
class Phrases:
    """How sentences are worded; `{key}` is what is wrong, `{write}` what to do, `{found}` what was there."""

    unknown: str = "unknown key '{key}': {write}"
    missing: str = "key '{key}' is missing{write}"
    wrong: str = "'{key}': {write}; found {found}"
    text: str = "'{key}' is the text {found}, not a number: {write}"


def sentences(
    error: ValidationError,
    section: Any,
    content: Any,
    place: Sequence[str] | None = (),
    phrases: Phrases = Phrases(),
) -> list[str]:
    """Return one sentence for each mistake that Pydantic found.

    Args:
        error: its error.
        section: the model that was asked for.
        content: what was given.
        place: the keys of the whole config that lead to the section; None where it is no part of one.
        phrases: how sentences are worded.
    """
    found = [_mistake(one, content) for one in error.errors(include_url=False)]
    unknown = [one for one in found if one.kind == "extra_forbidden"]
    said = []
    for mistakes in _by_value(found):
        one = mistakes[0]
        if one.kind == "extra_forbidden":
            said.append(phrases.unknown.format(key=one.key, write=_instead(one, section, place)))
        elif one.kind == "missing":
            # A key that is misspelt is one mistake, not also one that is missing.
            if not any(_means(other, one) for other in unknown):
                said.append(phrases.missing.format(key=one.key, write=_where_to_find(one, section)))
        elif one.kind == "union_tag_not_found":
            said.append(phrases.missing.format(key=one.key, write=f": write one of {_tags(one, section)}"))
        else:
            said.append(_wrong_value(mistakes, section, phrases))
    return said


def valid_keys(section: Any, location: Sequence[Any]) -> list[str]:
    """Return the keys that a section allows at a place, those that it needs first; none where it allows any."""
    for part in location:
        section = _inner(section, part)
    models = list(_models(section))
    keys = {key: field for model in models for key, field in model.model_fields.items()}
    return sorted(keys, key=lambda key: not keys[key].is_required())


def _mistake(error: Any, content: Any) -> Mistake:
    """Return an error with the keys of the file alone, without the marks that Pydantic puts among them."""
    value = content
    location = []
    branch = ""
    for number, part in enumerate(error["loc"], start=1):
        ends = number == len(error["loc"])
        if isinstance(value, Mapping) and (part in value or (ends and error["type"] == "missing")):
            location.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            location.append(part)
            value = value[part]
        elif part != "[key]":
            branch = str(part)
    if error["type"] == "union_tag_not_found":
        location.append("kind")
    return Mistake(
        error["type"], tuple(location), branch, error["input"], error.get("ctx", {}), error["msg"].split("\n")[0]
    )


def _by_value(found: Sequence[Mistake]) -> Iterator[list[Mistake]]:
    """Yield the mistakes, those of one value that may be one of several things together.

    Where a list was given and a list may be, what is wrong in it is meant, and not that it is no text.
    """
    inside = {one.location[:place] for one in found for place in range(len(one.location))}
    groups: dict[tuple[Location, bool], list[Mistake]] = {}
    for one in found:
        if one.branch and one.kind in WANTED and one.location in inside and isinstance(one.found, list | Mapping):
            continue
        alone = one.kind in ("missing", "extra_forbidden")
        groups.setdefault((one.location, alone), []).append(one)
    yield from groups.values()


def _wrong_value(mistakes: Sequence[Mistake], section: Any, phrases: Phrases) -> str:
    one = mistakes[0]
    key = one.key
    found = one.found
    wording = phrases.wrong
    if one.kind == "value_error":
        write = str(one.context.get("error", one.message))
    elif one.kind in NUMBERS and isinstance(found, str) and _is_number(found):
        wording = phrases.text
        write = "YAML reads 2e-5 as text, write 2.0e-5" if "e" in found.lower() else "take its quotes away"
    else:
        write = "write " + " or ".join(dict.fromkeys(_wanted(mistake, section) for mistake in mistakes))
    if one.kind == "union_tag_invalid" and isinstance(found, Mapping):
        write = f"its 'kind' is one of {one.context['expected_tags']}"
        found = found.get("kind")
    if not key:  # Values that do not go together.
        return write
    return wording.format(key=key[:LONGEST], write=write, found=quoted(found))


def _wanted(one: Mistake, section: Any) -> str:
    if one.kind == "string_pattern_mismatch":
        return PATTERNS.get(str(one.context["pattern"]), "text of another form")
    if one.kind in ("model_type", "model_attributes_type"):
        keys = ", ".join(f"'{key}'" for key in valid_keys(section, one.location)[:4])
        return f"a mapping with keys such as {keys}" if keys else "a mapping"
    if one.kind == "too_short" and one.context["min_length"] == 1:
        return "at least 1 entry"
    # What Pydantic may find apart from these, no field of ours can have; its words are better than none.
    return WANTED[one.kind].format(**one.context) if one.kind in WANTED else one.message


def _where_to_find(one: Mistake, section: Any) -> str:
    """Return what to do about a key that is missing, where its field says it."""
    for part in one.location[:-1]:
        section = _inner(section, part)
    fields = [
        model.model_fields[name] for model in _models(section) if (name := one.location[-1]) in model.model_fields
    ]
    hints = [hint for field in fields for hint in field.metadata if isinstance(hint, WhereToFind)]
    if not hints:
        return ""
    given = one.found if isinstance(one.found, Mapping) else {}
    return ": " + hints[0].text.format(id=given.get("id", "owner/name"))


def _tags(one: Mistake, section: Any) -> str:
    for part in one.location[:-1]:
        section = _inner(section, part)
    kinds = [get_args(model.model_fields["kind"].annotation)[0] for model in _models(section)]
    return ", ".join(f"'{kind}'" for kind in kinds)


def _instead(one: Mistake, section: Any, place: Sequence[str] | None) -> str:
    """Return what an unknown key should be: the name that others give it, a key of this section, or of another."""
    valid = valid_keys(section, one.location[:-1])
    name = str(one.location[-1])
    if place is None or difflib.get_close_matches(name[:LONGEST], valid, n=1, cutoff=0.8):
        return nearest(name, valid)
    return known_as(name, valid, [*place, *map(str, one.location[:-1])]) or nearest(name, valid)


def _means(unknown: Mistake, missing: Mistake) -> bool:
    """Whether an unknown key is a missing one of the same section, misspelt."""
    if unknown.location[:-1] != missing.location[:-1]:
        return False
    return nearest(str(unknown.location[-1]), [str(missing.location[-1])]).startswith("did you mean")


def _inner(section: Any, part: Any) -> Any:
    """Return what a key or a place in a list leads to in a section, or in the sections that it may be."""
    found = [model.model_fields[part].annotation for model in _models(section) if part in model.model_fields]
    if found:
        return found[0] if len(found) == 1 else tuple(found)
    for kind in _kinds(section):
        if get_origin(kind) is dict:
            return get_args(kind)[1]
        if get_origin(kind) is list and isinstance(part, int):
            return get_args(kind)[0]
    return None


def _models(section: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a value of some type may be."""
    for kind in _kinds(section):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


def _kinds(section: Any) -> Iterator[Any]:
    """Yield a type, or what it is a union of."""
    if isinstance(section, tuple):
        for one in section:
            yield from _kinds(one)
    elif get_origin(section) in (dict, list) or isinstance(section, type):
        yield section
    else:
        for one in get_args(section):
            yield from _kinds(one)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
