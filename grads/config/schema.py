"""The config's JSON schema and its reference page, both made from the model: `python -m grads.config.schema`.

An editor with a YAML language server completes and checks a config by the schema; what it accepts,
`grads.study.reading` may still refuse, since a schema cannot say that one key names another.
"""

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from grads.config.ratios import Ratio
from grads.config.section import Name
from grads.config.study import Study
from grads.runtime.files import write_text
from grads.runtime.markdown import cell

SCHEMA = Path("workflow/schemas/study.schema.json")
REFERENCE = Path("config/README.md")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
HEAD = """\
# Reference of the config

A study is one YAML file in this folder or anywhere else: `grads run mine.yaml`. It says what is asked, and nothing
about the machine: that is in [profiles](../profiles/default/profile.yaml). Unknown keys are refused; a value is never
converted from text. Names that you choose (`<model>`, `<domain>`, `<arm>`, `<task>`, `<archive>`) become folders and
follow `{name}`. Paths are relative to the folder in which the study runs; one that begins with `config/` and is not
there is looked for among the files that come with grads, such as `config/tasks/piqa.yaml`. Where a section has several
kinds, `kind` says which one is meant. `see there` is a section that may be left out: it has defaults of its own.

A first line `# yaml-language-server: $schema=../workflow/schemas/study.schema.json` (the path from the config to the
schema) makes editors complete and check a config.

Three keys make a study. The others have defaults; of those that shape what is compared, `grads check`, `grads plan` and
every run say which ones a config leaves out:

```yaml
study: mine
models:
  mine: {title: My model, source: {kind: file, path: my-model}}
domains:
  law: {title: Law, source: {kind: file, path: law.jsonl}}
```

This page is made from the config model by `make docs`; change `grads/config`, not this page.
"""


def study_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of a study's config; every object refuses keys that it does not name."""
    schema = Study.model_json_schema()
    for node in _objects(schema):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        # Made of the key itself, it says nothing.
        if isinstance(node.get("title"), str):
            del node["title"]
        _describe_as_its_type(node)
    return {"$schema": DIALECT, "title": "A study of grads", **schema}


def schema_text() -> str:
    """Return the schema as the file that is shipped."""
    return json.dumps(study_schema(), indent=2) + "\n"


def reference_page() -> str:
    """Return the Markdown page that lists every key with type, default and description."""
    sections = [HEAD.replace("{name}", _pattern(Name))]
    for path, section in _sections(Study, ""):
        title = f"`{path}`" if path else "The study"
        sections.append(f"## {title}\n\n{_docstring(section)}\n\n{_table(section)}\n")
    return "\n".join(sections)


def all_keys() -> list[str]:
    """Return every key of the config with what leads to it, such as `training.adapter.rank`; kinds are left out."""
    keys = [
        f"{re.sub(' [(].*?[)]', '', path)}.{key}" for path, part in _sections(Study, "") for key in part.model_fields
    ]
    return list(dict.fromkeys(key.lstrip(".") for key in keys))


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping in a schema that is itself a schema, or holds some."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in ("default", "enum", "const", "mapping"):
                yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


def _describe_as_its_type(node: dict[str, Any]) -> None:
    """Give a key that may be left out the description that is written with its type, for editors to show."""
    for kind in node.get("anyOf", []):
        if "description" in kind:
            node.setdefault("description", kind.pop("description"))


def description(field: FieldInfo) -> str:
    """Return what a key means: its own description, or the one that is written with its type."""
    written = [extra.description for extra in _extras(field.annotation) if isinstance(extra, FieldInfo)]
    return field.description or next((text for text in written if text), "")


def _extras(annotation: Any) -> Iterator[Any]:
    """Yield what annotates a type that may be one of several."""
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _extras(part)


def _sections(section: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every section of the config with its place, in the order of its keys, each kind of source apart."""
    yield path, section
    for key, field in section.model_fields.items():
        inner, named = _models(field.annotation)
        place = f"{path}.{key}".lstrip(".") + (f".<{key.removesuffix('s')}>" if named else "")
        for model in inner:
            kind = _kind(model) if len(inner) > 1 else ""
            yield from _sections(model, place + (f" ({kind})" if kind else ""))


def _models(annotation: Any) -> tuple[list[type[BaseModel]], bool]:
    """Return the sections that a type is made of, and whether they are entries under names of the user's choice."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation], False
    if get_origin(annotation) is dict:
        return _models(get_args(annotation)[1])[0], True
    return [model for part in get_args(annotation) for model in _models(part)[0]], False


def _kind(section: type[BaseModel]) -> str:
    field = section.model_fields.get("kind")
    return f"kind: {get_args(field.annotation)[0]}" if field else section.__name__


def _table(section: type[BaseModel]) -> str:
    rows = ["| key | type | default | |", "| :-- | :-- | :-- | :-- |"]
    for key, field in section.model_fields.items():
        kind = cell(_type(field.annotation) + _bounds(field))
        rows.append(f"| `{key}` | {kind} | {_default(field)} | {cell(description(field))} |")
    return "\n".join(rows)


def _type(annotation: Any) -> str:
    """Return how a type is called on the page."""
    if annotation is Ratio:
        return "ratio"
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        bounds = "".join(_bounds(extra) for extra in arguments[1:] if isinstance(extra, FieldInfo))
        return _type(arguments[0]) + bounds
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in arguments if part is not type(None)))
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any"}[annotation]


def _bounds(field: FieldInfo) -> str:
    """Return the limits of a value, such as ` >= 0, < 1`."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "a multiple of"}
    found = [(signs[key], getattr(limit, key)) for limit in field.metadata for key in signs if hasattr(limit, key)]
    patterns = [pattern for limit in field.metadata if (pattern := getattr(limit, "pattern", None))]
    limits = [f"{sign} {value}" for sign, value in found] + [f"like `{pattern}`" for pattern in patterns]
    return " " + ", ".join(limits) if limits else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    written = _written(value)
    if isinstance(value, BaseModel) and not written:
        return "see there"
    return "none" if value is None else f"`{json.dumps(written)}`"


def _written(value: Any) -> Any:
    """Return a default as a config would have it: of sections, the keys that say something."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    return {key: _written(one) for key, one in value.items()} if isinstance(value, dict) else value


def _pattern(annotation: Any) -> str:
    constraints = [item for field in get_args(annotation)[1:] for item in field.metadata]
    return str(next(item.pattern for item in constraints if getattr(item, "pattern", None)))


def _docstring(section: type[BaseModel]) -> str:
    return " ".join((section.__doc__ or "").split())


def main() -> None:
    """Write the schema and the page below the working directory, which is the repository's root."""
    write_text(SCHEMA, schema_text())
    write_text(REFERENCE, reference_page())


if __name__ == "__main__":
    main()
