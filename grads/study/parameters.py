"""The parameters of what registries find: their reading, and their part of a page."""

import importlib
import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from grads.config.mistakes import Phrases, sentences
from grads.runtime.errors import GradsError
from grads.runtime.markdown import cell
from grads.runtime.registry import Named, Registry, module_file

WithSource = TypeVar("WithSource", bound="Sourced")
Model = TypeVar("Model", bound=BaseModel)


class Sourced(Named, Protocol):
    """It may say where it comes from: a publication, or that it is a control."""

    @property
    def source(self) -> str: ...  # noqa: D102


def section(registry: Registry[WithSource], name: str, parameters: type[BaseModel]) -> str:
    """Return the part of a Markdown page on one of a registry: its module's docstring, its source, its parameters."""
    module = registry.module_of(name)
    path = module_file(module)
    text = (importlib.import_module(module).__doc__ or "").strip()
    head = f"\n## {name}\n\n{text}\n\nSource: {registry.find(name).source}. Code: [{path}](../{path}).\n"
    return head + parameters_table(parameters)


def parse_parameters(what: str, model: type[Model], given: Mapping[str, Any]) -> Model:
    """Return parameters, with the defaults of those not given; `what` is how errors call that which takes them.

    Raises:
        GradsError: some are unknown, or their values are not allowed.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        phrases = Phrases(
            unknown=f"{what} has no parameter '{{key}}': {{write}}",
            missing=f"{what} needs the parameter '{{key}}', which is not given: give it{{write}}",
            wrong=f"parameter '{{key}}' of {what} is {{found}}: {{write}}",
            text=f"parameter '{{key}}' of {what} is {{found}}: it is text, not a number: {{write}}",
        )
        raise GradsError(*sentences(error, model, dict(given), None, phrases)) from None


def parameters_table(model: type[BaseModel]) -> str:
    """Return a Markdown table of a model's fields with a blank line before it; nothing where there are none."""
    if not model.model_fields:
        return ""
    lines = ["", "| parameter | default | |", "| :-- | :-- | :-- |"]
    for key, field in model.model_fields.items():
        default = "required"
        if not field.is_required():
            default = f"`{json.dumps(field.get_default(call_default_factory=True))}`"
        lines.append(f"| `{key}` | {cell(default)} | {cell(field.description or '')} |")
    return "\n".join(lines) + "\n"
