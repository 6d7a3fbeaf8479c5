"""What files of a package declare, found by their being there, and the parameters that it takes."""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from grads.runtime.errors import GradsError, nearest

Declared = TypeVar("Declared")
Model = TypeVar("Model", bound=BaseModel)


def collect(
    modules: Iterable[str], attribute: str, kind: type[Declared], name_of: Callable[[Declared], str], helpers: str
) -> dict[str, tuple[Declared, str]]:
    """Return what the named modules declare, each with its module, sorted by name.

    Args:
        modules: whole names of modules.
        attribute: what each calls its declaration.
        kind: what a declaration is.
        name_of: the name of a declaration.
        helpers: the constant that lists modules which declare nothing.

    Raises:
        ValueError: a module declares nothing, or something of a name that another has.
    """
    found: dict[str, tuple[Declared, str]] = {}
    for module in modules:
        declared = getattr(importlib.import_module(module), attribute, None)
        if not isinstance(declared, kind):
            raise ValueError(f"{module} declares no {attribute}: add it, or name the module in {helpers}")
        name = name_of(declared)
        if name in found:
            what = attribute.lower()
            raise ValueError(f"{found[name][1]} and {module} both declare the {what} '{name}'")
        found[name] = (declared, module)
    return dict(sorted(found.items()))


def parse_parameters(what: str, model: type[Model], given: Mapping[str, Any]) -> Model:
    """Return parameters, with the defaults of those not given; `what` is how errors call that which takes them.

    Raises:
        GradsError: one is unknown, or its value is not allowed.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise GradsError(f"{what} has no parameter '{key}': {nearest(key, model.model_fields)}") from None
        if first["type"] == "missing":
            raise GradsError(f"{what} needs the parameter '{key}', which is not given: give it") from None
        said = first["msg"].removeprefix("Value error, ")
        if not key:  # Parameters that do not go together.
            raise GradsError(f"{what}: {said}") from None
        raise GradsError(f"parameter '{key}' of {what} is {first['input']!r}: {said}") from None


def parameters_table(model: type[BaseModel]) -> str:
    """Return a Markdown table of a model's fields with a blank line before it; nothing where there are none."""
    if not model.model_fields:
        return ""
    lines = ["", "| parameter | default | |", "| :-- | :-- | :-- |"]
    for key, field in model.model_fields.items():
        default = "required"
        if not field.is_required():
            default = f"`{json.dumps(field.get_default(call_default_factory=True))}`"
        lines.append(f"| `{key}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
