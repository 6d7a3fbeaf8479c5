"""The registry: every file of this package that declares a `SIGNAL`."""

from collections.abc import Collection

from grads.runtime.errors import GradsError
from grads.runtime.registry import Registry
from grads.signals.measures.contract import MeanSignal, Signal, TokenSignal

HELPERS = ("contract", "registry")
REGISTRY = Registry("grads.signals.measures", "SIGNAL", Signal, "there is no signal", HELPERS, "grads.signals")


def column_of(signal: Signal) -> str:
    """Return what a signal is called in a store: the column, or the kind of vector."""
    return signal.column if isinstance(signal, TokenSignal) else signal.name


def token_signals(measures: Collection[str]) -> list[TokenSignal]:
    """Return those of the measures that are numbers of tokens, by name in alphabetical order."""
    return [one for name, one in REGISTRY.all().items() if name in measures and isinstance(one, TokenSignal)]


def mean_signals(measures: Collection[str]) -> list[MeanSignal]:
    """Return those of the measures that are means of states, by name in alphabetical order."""
    return [one for name, one in REGISTRY.all().items() if name in measures and isinstance(one, MeanSignal)]


def signal_modules(measures: Collection[str]) -> list[str]:
    """Return the modules that declare those of the measures which are declared, for the code version of a store."""
    return [REGISTRY.module_of(name) for name in REGISTRY.all() if name in measures]


def check_signals(reserved: Collection[str]) -> None:
    """Refuse a declared signal whose name or column is another's.

    Args:
        reserved: names and columns of what the pass makes itself, and of what every store has.

    Raises:
        GradsError: it names the module.
    """
    taken = dict.fromkeys(reserved, "the probe itself")
    for name, signal in REGISTRY.all().items():
        module = REGISTRY.module_of(name)
        for word in sorted({name, column_of(signal)}):
            if word in taken:
                raise GradsError(
                    f"{module}: the signal '{name}' is called '{word}', and {taken[word]} has that: rename it"
                )
        taken |= dict.fromkeys((name, column_of(signal)), module)
