"""The page docs/api.md, made from the docstrings of what `import grads` offers: `python -m grads.api.documentation`."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_overloads

import grads
from grads.runtime.files import write_text

PAGE = Path("docs/api.md")
FUNCTIONS = ("probe", "select", "train", "evaluate", "compare", "methods", "load_signals")
CLASSES = ("Settings", "Signals", "Selection", "Trained", "Scores", "Comparison", "Compared", "GradsError")
HEAD = """\
# Python interface

{package}

Records are known by their ids, hashes of their contents: the same in Python, in files of `grads select` and in a study.
A mistake raises `grads.GradsError`, one sentence that names the argument. All of it is typed (`py.typed`).

Work is kept in a folder, `grads-work` where Python runs unless `work=` names another, each part by all that shapes it.
A second call with the same model, records and settings finds what is there, in this process or the next, as the
commands do. Jobs run in this process, on the device that torch would take.

In place of signals, methods take [plain arrays](#select): what somebody else measured.

This page is made from the docstrings by `make docs`; the commands of the same names are told of in
[running a part](running-a-part.md#in-python).
"""
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$")


def api_page() -> str:
    """Return the Markdown page of the functions, and of the classes that they take and return."""
    parts = [HEAD.format(package=_package())]
    parts += [_function(name, getattr(grads, name)) for name in FUNCTIONS]
    parts += [_class(name, found) for name, found in _classes()]
    return "\n".join(parts)


def _package() -> str:
    """Return what the package says of itself, after its first line."""
    return inspect.cleandoc(grads.__doc__ or "").partition("\n\n")[2]


def _classes() -> Iterator[tuple[str, type]]:
    from grads.api import outputs

    for name in CLASSES:
        yield name, getattr(grads, name) if name in grads.__all__ else getattr(outputs, name)


def _function(name: str, function: Callable[..., Any]) -> str:
    return f"## {name}\n\n```python\n{_signature(name, function)}\n```\n\n{_text(function)}\n"


def _signature(name: str, function: Callable[..., Any]) -> str:
    """Return a signature, a parameter a line; of one with overloads all that it takes."""
    found = inspect.signature(function)
    given = [_parameter(one) for one in found.parameters.values()]
    first_keyword = next(
        (place for place, one in enumerate(found.parameters.values()) if one.kind is one.KEYWORD_ONLY), None
    )
    if first_keyword is not None:
        given.insert(first_keyword, "*")
    overloads = get_overloads(inspect.unwrap(function))
    returned = dict.fromkeys(inspect.signature(one).return_annotation for one in overloads)
    result = " | ".join(map(_type, returned or [found.return_annotation]))
    lines = "".join(f"    {one},\n" for one in given)
    return f"grads.{name}(\n{lines}) -> {result}" if given else f"grads.{name}() -> {result}"


def _parameter(one: inspect.Parameter) -> str:
    if one.kind is one.VAR_KEYWORD:
        return f"**{one.name}: Settings"
    default = "" if one.default is one.empty else f" = {one.default!r}"
    return f"{one.name}: {_type(one.annotation)}{default}"


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"(?<![\w.])(?:grads|typing|collections|pathlib|pandas)\.(?:\w+\.)*", "", text)
    return text.replace("'", "") if "Literal" not in text else text


def _class(name: str, found: type) -> str:
    parts = [f"## {name}\n", _text(found)]
    for member, value in vars(found).items():
        shown = value.fget if isinstance(value, property) else getattr(value, "func", value)
        if member.startswith("_") or not callable(shown) or not inspect.getdoc(shown) or inspect.isclass(shown):
            continue
        call = "" if shown is not value else f"({_short(shown)})"
        parts.append(f"### {name}.{member}{call}\n\n{_text(shown)}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _short(function: Callable[..., Any]) -> str:
    given = [one for name, one in inspect.signature(function).parameters.items() if name != "self"]
    return ", ".join(one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in given)


def _text(documented: Any) -> str:
    """Return a docstring as Markdown: its parts (`Args`, `Returns`, ...) as lists and sentences."""
    lines = (inspect.getdoc(documented) or "").splitlines()
    written: list[str] = []
    part = ""
    for line in lines:
        if found := SECTION.match(line):
            part = found[1]
            written += ["" if part in ("Args", "Attributes") else f"**{part}**", ""][part in ("Args", "Attributes") :]
        elif not part:
            written.append(line)
        elif part in ("Args", "Attributes") and (item := re.match(r"    (\w+): (.*)", line)):
            written.append(f"- `{item[1]}`: {item[2]}")
        else:
            written.append(f"  {line.strip()}" if part in ("Args", "Attributes") and line.strip() else line.strip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(written)).strip()


def main() -> None:
    """Write the page below the working directory, which is the repository's root."""
    write_text(PAGE, api_page())


if __name__ == "__main__":
    main()
