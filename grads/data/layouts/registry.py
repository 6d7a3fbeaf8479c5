"""The registry: every file of this package that declares a `LAYOUT`."""

from collections.abc import Iterable, Sequence

from grads.data.layouts.contract import Layout
from grads.runtime.registry import Registry

HELPERS = ("contract", "questions", "registry")
REGISTRY = Registry("grads.data.layouts", "LAYOUT", Layout, "there is no layout", HELPERS, "grads.layouts")


def layouts() -> list[Layout]:
    """Return all layouts, in the order in which messages name them."""
    return _in_order(REGISTRY.all().values())


def own_layouts() -> list[Layout]:
    """Return the layouts of this package alone, in the same order."""
    return _in_order(REGISTRY.own().values())


def _in_order(found: Iterable[Layout]) -> list[Layout]:
    return sorted(found, key=lambda layout: (layout.order, layout.name))


def any_of_the_columns(shown: Sequence[Layout], quote: str) -> str:
    """Return by which columns a row is told to have one of some layouts: "'prompt' and 'completion', or 'messages'"."""
    each = [
        " and ".join(f"{quote}{part}{quote}" for part in layout.needed) for layout in shown if not layout.only_named
    ]
    return ", ".join([*each[:-1], f"or {each[-1]}"])
