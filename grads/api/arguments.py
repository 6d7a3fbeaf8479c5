"""Mistakes as the Python functions say them: what the command line calls `--data` is the argument `records` here."""

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from grads.runtime.errors import GradsError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

OPTION = re.compile(r"--(\w[\w-]*)")
ARGUMENTS = {
    "data": "records",
    "encoder": "encoders",
    "field": "fields",
    "metric": "metrics",
    "parameter": "parameters",
    "strategy-parameter": "strategy_parameters",
}
"""Arguments by their options, where they are called otherwise."""


def in_python(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Have the mistakes that a function raises name its arguments, and not the options of the command line."""

    @functools.wraps(function)
    def called(*args: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        try:
            return function(*args, **keywords)
        except GradsError as error:
            raise GradsError(*map(spelled, error.sentences)) from None

    return called


def spelled(sentence: str) -> str:
    """Return a sentence with arguments in place of options."""
    return OPTION.sub(lambda found: ARGUMENTS.get(found[1], found[1].replace("-", "_")), sentence)
