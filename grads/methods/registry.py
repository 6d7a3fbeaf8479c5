"""The registry: every file of this package that declares a `METHOD`."""

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from grads.methods.contract import Method, Parameters
from grads.runtime.errors import GradsError, nearest

# Modules of this package that declare no method. Named, so that a file that forgets its `METHOD` is noticed, and so
# that the registry imports neither numpy nor pandas: the workflow reads it each time it is planned.
HELPERS = ("contract", "density", "lazy", "neighbours", "page", "partitions", "plan", "registry", "signals", "stage")


@functools.cache
def methods() -> dict[str, Method]:
    """Return all methods by name, in alphabetical order."""
    return {name: method for name, (method, _module) in _declared().items()}


def find_method(name: str) -> Method:
    """Return a method.

    Raises:
        GradsError: there is none of that name.
    """
    if name not in methods():
        raise GradsError(f"there is no selection method '{name}': {nearest(name, methods())}")
    return methods()[name]


def module_of(name: str) -> str:
    """Return the module that declares a method, for its code version."""
    find_method(name)
    return _declared()[name][1]


def parse_parameters(method: Method, given: Mapping[str, Any]) -> Parameters:
    """Return a method's parameters, with its defaults for those not given.

    Raises:
        GradsError: one is unknown, or its value is not allowed.
    """
    try:
        return method.parameters.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(key, method.parameters.model_fields)
            raise GradsError(f"method '{method.name}' has no parameter '{key}': {hint}") from None
        if not key:  # Parameters that do not go together.
            raise GradsError(f"method '{method.name}': {first['msg'].removeprefix('Value error, ')}") from None
        raise GradsError(f"parameter '{key}' of method '{method.name}' is {first['input']!r}: {first['msg']}") from None


@functools.cache
def _declared() -> dict[str, tuple[Method, str]]:
    package = importlib.import_module("grads.methods")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return collect(f"grads.methods.{name}" for name in names if name not in HELPERS)


def collect(modules: Iterable[str]) -> dict[str, tuple[Method, str]]:
    """Return the methods that the named modules declare, each with its module, sorted by name.

    Raises:
        ValueError: a module declares no method, or one of a name that another has.
    """
    found: dict[str, tuple[Method, str]] = {}
    for module in modules:
        method = getattr(importlib.import_module(module), "METHOD", None)
        if not isinstance(method, Method):
            raise ValueError(
                f"{module} declares no METHOD: add it, or name the module in grads.methods.registry.HELPERS"
            )
        if method.name in found:
            raise ValueError(f"{found[method.name][1]} and {module} both declare the method '{method.name}'")
        found[method.name] = (method, module)
    return dict(sorted(found.items()))
