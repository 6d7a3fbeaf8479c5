"""One method or strategy as `grads list methods NAME` shows it: what it is, what it reads, its parameters."""

import importlib
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from grads.runtime.registry import Registry
    from grads.study.parameters import Sourced

WIDTH = 80


def described_method(name: str) -> str:
    """Return what a selection method is.

    Raises:
        GradsError: there is none of that name.
    """
    from grads.selection.documentation import cost
    from grads.selection.registry import REGISTRY

    method = REGISTRY.find(name)
    needs = method.needs(method.shown)
    others = further_records(needs.stores, needs.texts)
    reads = [*(f"signals {store}" for store in sorted(needs.stores)), *(f"the arm {arm}" for arm in needs.arms)]
    reads += [*(f"texts of {split} records" for split in sorted(needs.texts)), *["a file"] * bool(needs.files)]
    facts = {"reads": ", ".join(reads) or "nothing but token counts", "passes": cost(needs)}
    if others:
        facts["on the command line"] = f"grads select {' '.join(f'--{other} FILE' for other in others)}"
    return _described(REGISTRY, name, method.title, facts, method.parameters)


def described_strategy(name: str) -> str:
    """Return what a training strategy is.

    Raises:
        GradsError: there is none of that name.
    """
    from grads.training.strategies.registry import REGISTRY

    strategy = REGISTRY.find(name)
    return _described(REGISTRY, name, strategy.title, {}, strategy.parameters)


def further_records(stores: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Return which records a method reads besides those that it selects from: `validation`, `anchor`."""
    from grads.study.paths import TRAIN, store_point

    return sorted(({store_point(store)[2] for store in stores} | set(texts)) - {TRAIN})


def _described(
    registry: "Registry[Any]", name: str, title: str, facts: dict[str, str], parameters: "type[BaseModel]"
) -> str:
    found: Sourced = registry.find(name)
    text = (importlib.import_module(registry.module_of(name)).__doc__ or "").strip()
    lines = [f"{name}: {title}", *_wrapped(f"source: {found.source}")]
    for key, fact in facts.items():
        lines += _wrapped(f"{key}: {fact}")
    lines += ["", text, ""]
    lines += _parameters(parameters) or ["It has no parameters."]
    return "\n".join(lines)


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _parameters(model: "type[BaseModel]") -> Sequence[str]:
    return [line for key, field in model.model_fields.items() for line in _parameter(key, field)]


def _parameter(key: str, field: Any) -> Iterator[str]:
    default = "required" if field.is_required() else json.dumps(field.get_default(call_default_factory=True))
    yield f"--parameter {key}={default}"
    yield from textwrap.wrap(field.description or "", WIDTH, initial_indent="    ", subsequent_indent="    ")
