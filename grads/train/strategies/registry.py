"""The registry: every file of this package that declares a `STRATEGY`."""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from grads.runtime.errors import GradsError, nearest
from grads.study import declared
from grads.train.strategies.contract import Parameters, Strategy

# Modules of this package that declare no strategy.
HELPERS = ("contract", "registry")


@functools.cache
def strategies() -> dict[str, Strategy]:
    """Return all strategies by name, in alphabetical order."""
    return {name: strategy for name, (strategy, _module) in _declared().items()}


def find_strategy(name: str) -> Strategy:
    """Return a strategy.

    Raises:
        GradsError: there is none of that name.
    """
    if name not in strategies():
        raise GradsError(f"there is no training strategy '{name}': {nearest(name, strategies())}")
    return strategies()[name]


def module_of(name: str) -> str:
    """Return the module that declares a strategy, for its code version."""
    find_strategy(name)
    return _declared()[name][1]


def parse_parameters(strategy: Strategy, given: Mapping[str, Any]) -> Parameters:
    """Return a strategy's parameters, with its defaults for those not given.

    Raises:
        GradsError: one is unknown, or its value is not allowed.
    """
    return declared.parse_parameters(f"strategy '{strategy.name}'", strategy.parameters, given)


@functools.cache
def _declared() -> dict[str, tuple[Strategy, str]]:
    package = importlib.import_module("grads.train.strategies")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    files = (f"{package.__name__}.{name}" for name in names if name not in HELPERS)
    return declared.collect(files, "STRATEGY", Strategy, attrgetter("name"), f"{__name__}.HELPERS")
