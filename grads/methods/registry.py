"""The registry: every file of this package that declares a `METHOD`."""

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from grads.methods.contract import Method, Parameters
from grads.runtime.errors import GradsError, nearest
from grads.study import declared

# Modules of this package that declare no method. Named, so that a file that forgets its `METHOD` is noticed, and so
# that the registry imports neither numpy nor pandas: the workflow reads it each time it is planned.
HELPERS = ("contract", "density", "page", "plan", "registry", "signals", "stage")


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
    return declared.parse_parameters(f"method '{method.name}'", method.parameters, given)


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
    return declared.collect(modules, "METHOD", Method, attrgetter("name"), "grads.methods.registry.HELPERS")
