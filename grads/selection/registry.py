"""The registry: every file of `grads.selection.methods` declares a `METHOD`."""

from collections.abc import Mapping
from typing import Any

from grads.selection.contract import Method, Parameters
from grads.study import parameters as declared

REGISTRY = declared.Registry(
    "grads.selection.methods", "METHOD", Method, "there is no selection method", group="grads.methods"
)
methods = REGISTRY.all
find_method = REGISTRY.find
module_of = REGISTRY.module_of


def parse_parameters(method: Method, given: Mapping[str, Any]) -> Parameters:
    """Return a method's parameters, with its defaults for those not given.

    Raises:
        GradsError: one is unknown, or its value is not allowed.
    """
    return declared.parse_parameters(f"method '{method.name}'", method.parameters, given)
