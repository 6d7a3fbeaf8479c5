"""Jinja templates as lm-eval fills them in, in a sandbox: from them no code of a file can be reached."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

from grads.runtime.errors import GradsError

LONGEST = 1_000_000
"""Characters that a multiplication in a template may make."""


class Sandbox(SandboxedEnvironment):
    """lm-eval's environment in a sandbox, with a limit to what `*` makes."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True)
        self.filters["regex_replace"] = _regex_replace

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply, unless the result would fill the memory."""
        sizes = [len(one) if hasattr(one, "__len__") else 1 for one in (left, right)]
        numbers = [abs(one) if isinstance(one, int) else 1 for one in (left, right)]
        # Of a power, the number of digits.
        made = max(sizes) * max(numbers) if max(sizes) > 1 else 0
        if operator == "**":
            made = max(made, numbers[1] * numbers[0].bit_length())
        if made > LONGEST:
            raise OverflowError("a multiplication makes more than can be used")
        return super().call_binop(context, operator, left, right)


def _regex_replace(text: str, pattern: str, replacement: str, count: int = 0) -> str:
    return re.sub(pattern, replacement, text, count=count)


class Templates:
    """Templates over items of some fields; a text that is the name of a field stands for what is in it, as in lm-eval.

    Args:
        fields: the names of the items' fields.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = fields
        self.environment = Sandbox()

    def problem(self, template: str) -> str | None:
        """Return why a text cannot be read as a template, None if it can."""
        try:
            self.environment.from_string(template)
        except TemplateError as error:
            return str(error)
        except RecursionError:
            return "its brackets are nested too deep"
        return None

    def names_a_field(self, template: str) -> bool:
        """Return whether a template depends on an item at all; one that is no template names nothing."""
        if template in self.fields:
            return True
        try:
            named = meta.find_undeclared_variables(self.environment.parse(template))
        except (TemplateError, RecursionError):
            return False
        return not named.isdisjoint(self.fields)

    def text(self, template: Any, item: Mapping[str, Any], has_choices: bool) -> Any:
        """Return a prompt: a text, or the number of the right choice where the choices are what comes before.

        Raises:
            GradsError: the template fails for the item.
        """
        if not isinstance(template, str):
            return template
        if template in self.fields:
            return item[template]
        text = self._filled(template, item)
        return int(text) if has_choices and text.isdecimal() else text

    def target(self, template: Any, item: Mapping[str, Any], has_choices: bool) -> Any:
        """Return a right answer: a text, several, or the number of a choice; raises like `text`."""
        found = self.text(template, item, has_choices)
        if isinstance(found, str) and template not in self.fields and re.fullmatch(r"(?s)\[.*\]", found):
            try:
                return ast.literal_eval(found)
            except (SyntaxError, ValueError):
                return found
        return found

    def choices(self, template: Any, item: Mapping[str, Any], _has_choices: bool) -> Any:
        """Return what is chosen from; raises like `text`, and where a template gives no list."""
        if isinstance(template, Mapping):
            return list(template.values())
        if not isinstance(template, str):
            return template
        if template in self.fields:
            return item[template]
        text = self._filled(template, item)
        try:
            return ast.literal_eval(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise GradsError(f"gives {text[:80]!r}, not a list of texts: name the field, such as 'choices'") from None

    def _filled(self, template: str, item: Mapping[str, Any]) -> str:
        try:
            return self.environment.from_string(template).render(**item)
        except Exception as error:  # Whatever a template does, it is the template that is to be corrected.
            fields = ", ".join(self.fields)
            said = f"{type(error).__name__}: {error}"
            raise GradsError(f"fails ({said[:200]}): correct it; an item has {fields}") from None
