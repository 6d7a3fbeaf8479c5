"""The registry: every file of this package that declares a `STRATEGY`."""

from collections.abc import Mapping
from typing import Any

from grads.study import parameters as declared
from grads.training.strategies.contract import Parameters, Strategy

HELPERS = ("contract", "registry")
REGISTRY = declared.Registry(
    "grads.training.strategies", "STRATEGY", Strategy, "there is no training strategy", HELPERS, "grads.strategies"
)
strategies = REGISTRY.all
find_strategy = REGISTRY.find
module_of = REGISTRY.module_of


def parse_parameters(strategy: Strategy, given: Mapping[str, Any]) -> Parameters:
    """Return a strategy's parameters, with its defaults for those not given.

    Raises:
        GradsError: one is unknown, or its value is not allowed.
    """
    return declared.parse_parameters(f"strategy '{strategy.name}'", strategy.parameters, given)
