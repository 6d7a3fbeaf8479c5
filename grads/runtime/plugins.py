"""What installed packages of others add: entry points of the groups `grads.methods`, `grads.tables` and the like.

A package names a module of its own in its `pyproject.toml`, and the registry of that group finds what it declares:

    [project.entry-points."grads.methods"]
    mine = "their_package.module"
"""

import functools
import importlib.metadata
from dataclasses import dataclass
from pathlib import PurePosixPath

PREFIX = "grads."


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed package.

    Attributes:
        entry: names the module, and after a colon the constant in it, if that is not called as usual.
        distribution: the package as it was installed.
    """

    entry: importlib.metadata.EntryPoint
    distribution: importlib.metadata.Distribution

    @property
    def module(self) -> str:
        """Return the whole name of the module."""
        return self.entry.module

    @property
    def package(self) -> str:
        """Return what is installed, with its version."""
        return f"{self.distribution.name} {self.distribution.version}"

    def __str__(self) -> str:
        return f"entry point '{self.entry.name}' of '{self.entry.group}' in {self.package}"


@functools.cache
def all_plugins() -> tuple[Plugin, ...]:
    """Return the entry points of all groups of this package, ordered by group, distribution and name."""
    found: dict[str, list[Plugin]] = {}
    for distribution in importlib.metadata.distributions():
        mine = [Plugin(entry, distribution) for entry in distribution.entry_points if entry.group.startswith(PREFIX)]
        if mine:
            # The first of a name on Python's path is the one that is imported.
            found.setdefault(distribution.name, mine)
    every = [one for mine in found.values() for one in mine]
    return tuple(sorted(every, key=lambda one: (one.entry.group, one.distribution.name, one.entry.name)))


def plugins(group: str) -> list[Plugin]:
    """Return the entry points of a group, such as `grads.methods`."""
    return [one for one in all_plugins() if one.entry.group == group]


def plugin_versions() -> dict[str, str]:
    """Return the version of every distribution that has such entry points, by name."""
    return {one.distribution.name: one.distribution.version for one in all_plugins()}


@functools.cache
def companions(top: str) -> frozenset[str]:
    """Return the top-level packages and modules that come with one of them in the distribution of a plugin.

    Distributions that are installed in editable form may list no files; those that their entry points name are known
    all the same.
    """
    found = {top}
    for name in plugin_versions():
        mine = [one for one in all_plugins() if one.distribution.name == name]
        tops = {one.module.partition(".")[0] for one in mine} | _top_level(mine[0].distribution)
        found |= tops if top in tops else set()
    return frozenset(found)


def _top_level(distribution: importlib.metadata.Distribution) -> set[str]:
    """Return the names of the packages and modules that a distribution lists."""
    paths = [PurePosixPath(str(path)) for path in distribution.files or ()]
    named = {path.parts[0] if len(path.parts) > 1 else path.stem for path in paths if path.suffix in (".py", ".so")}
    named |= set((distribution.read_text("top_level.txt") or "").split())
    return {name for name in named if name.isidentifier()}
