"""Every contestant by name: its title, and where and how it is made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import ours, peers
from benchmarks.protocol import Settings, Variant

COMPILED = "-compiled"
BERGSON = "bergson"
VARIANTS: dict[str, Variant] = peers.VARIANTS | ours.VARIANTS


@dataclass(frozen=True)
class Entry:
    """A contestant: how the table calls it, and the Python module that is its process."""

    title: str
    compiled: bool = False
    module: str = "benchmarks.worker"


def entries() -> dict[str, Entry]:
    """Return all contestants in the order of the table: peers, then ours, eager before compiled."""
    found: dict[str, Entry] = {}
    for name, variant in VARIANTS.items():
        found[name] = Entry(variant.title)
        if variant.compilable:
            found[name + COMPILED] = Entry(f"{variant.title}, compiled", compiled=True)
        if name == list(peers.VARIANTS)[-1]:
            found[BERGSON] = Entry("bergson's index build", module="benchmarks.bergson_worker")
    return found


def maker(name: str) -> Callable[[Settings], Callable[[Any], object]]:
    """Return the function that makes a contestant of this environment from its settings."""
    variant = VARIANTS[name.removesuffix(COMPILED)]
    return lambda settings: variant.make(settings, name.endswith(COMPILED))
