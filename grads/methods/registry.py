"""The registry: every file of this package that declares a `METHOD`."""

from collections.abc import Mapping
from typing import Any

from grads.methods.contract import Method, Parameters
from grads.study import declared

HELPERS = (
    "contract", "density", "lazy", "neighbours", "page", "partitions", "plan", "registry", "ridge", "signals", "stage",
)  # fmt: skip
REGISTRY = declared.Registry("grads.methods", "METHOD", Method, "there is no selection method", HELPERS)
methods, find_method, module_of = REGISTRY.all, REGISTRY.find, REGISTRY.module_of


def parse_parameters(method: Method, given: Mapping[str, Any]) -> Parameters:
    """Return a method's parameters, with its defaults for those not given.

    Raises:
        GradsError: one is unknown, or its value is not allowed.
    """
    return declared.parse_parameters(f"method '{method.name}'", method.parameters, given)
