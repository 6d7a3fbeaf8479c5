"""What files of a package and other installed packages declare: found by their being there, in no list."""

import contextlib
import importlib
import pkgutil
import traceback
from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from grads.runtime.errors import GradsError, nearest
from grads.runtime.plugins import Plugin, plugins

Declared = TypeVar("Declared", bound="Named")


class Named(Protocol):
    """What a file declares has a name, as the config calls it."""

    @property
    def name(self) -> str: ...  # noqa: D102


class Registry(Generic[Declared]):
    """What the files of a package declare, each in a constant of the same name; nobody edits a list of them.

    Other packages that are installed may declare more, by entry points that name modules of theirs.

    Args:
        package: its name.
        attribute: the constant.
        kind: what the constant is.
        missing: beginning of the error for an unknown name, written in full so that a search for the message finds it.
        helpers: modules of the package that declare nothing. Named, so that a file that forgets its constant is
            noticed, and so that nothing heavy is imported: the workflow reads registries each time it is planned.
        group: of the entry points by which other packages add to it.
    """

    def __init__(
        self,
        package: str,
        attribute: str,
        kind: type[Declared],
        missing: str,
        helpers: Collection[str] = (),
        group: str | None = None,
    ) -> None:
        self.package = package
        self.attribute = attribute
        self.kind = kind
        self.missing = missing
        self.helpers = helpers
        self.group = group

    @cached_property
    def found(self) -> dict[str, tuple[Declared, str]]:
        """All that is declared, each with its module, by name in alphabetical order."""
        return self.collect(self._own_modules(), plugins(self.group) if self.group else ())

    def _own_modules(self) -> list[str]:
        names = [module.name for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__)]
        return [f"{self.package}.{name}" for name in names if name not in self.helpers]

    def own(self) -> dict[str, Declared]:
        """Return what the files of the package declare, by name in alphabetical order."""
        return {name: one for name, (one, _module) in self.collect(self._own_modules()).items()}

    def sound(self) -> dict[str, Declared]:
        """Return what those files of the package declare that are not broken."""
        found: dict[str, Declared] = {}
        for module in self._own_modules():
            with contextlib.suppress(GradsError):
                found |= {name: one for name, (one, _module) in self.collect([module]).items()}
        return found

    def all(self) -> dict[str, Declared]:
        """Return all that is declared, by name in alphabetical order."""
        return {name: one for name, (one, _module) in self.found.items()}

    def find(self, name: str) -> Declared:
        """Return what is declared by a name.

        Raises:
            GradsError: there is none of that name.
        """
        return self._entry(name)[0]

    def module_of(self, name: str) -> str:
        """Return the module that declares a name, for its code version.

        Raises:
            GradsError: there is none of that name.
        """
        return self._entry(name)[1]

    def _entry(self, name: str) -> tuple[Declared, str]:
        if name not in self.found:
            raise GradsError(f"{self.missing} '{name}': {nearest(name, self.found)}")
        return self.found[name]

    def collect(self, modules: Iterable[str], added: Iterable[Plugin] = ()) -> dict[str, tuple[Declared, str]]:
        """Return what modules declare, each with its module, sorted by name.

        Args:
            modules: whole names of modules of this package.
            added: entry points of others.

        Raises:
            GradsError: a module cannot be imported, declares nothing, or something of a name that another has.
        """
        declared = [(module, module_file(module), self._declared_by(module)) for module in modules]
        declared += [(plugin.module, str(plugin), self._declared_in(plugin)) for plugin in added]
        found: dict[str, tuple[Declared, str]] = {}
        places: dict[str, str] = {}
        for module, place, one in declared:
            if one.name in places:
                raise GradsError(
                    f"{places[one.name]} and {place} both declare the {self.attribute.lower()} '{one.name}': rename one"
                )
            places[one.name] = place
            found[one.name] = (one, module)
        return dict(sorted(found.items()))

    def _declared_by(self, module: str) -> Declared:
        """Return what a module of this package declares."""
        try:
            declared = getattr(importlib.import_module(module), self.attribute, None)
        except (Exception, SystemExit) as error:
            file = module_file(module)
            place = _place(error, file)
            known = place and place[0].endswith(file)
            raise GradsError(
                f"{file}{f':{place[1]}' if place and known else ''} cannot be imported ({_reason(error, file)}): fix it"
            ) from error
        if not isinstance(declared, self.kind):
            raise GradsError(
                f"{module_file(module)} declares no {self.attribute}: add it, or name the module in "
                f"{self.package}.registry.HELPERS"
            )
        return declared

    def _declared_in(self, plugin: Plugin) -> Declared:
        """Return what a module of another package declares."""
        try:
            loaded = plugin.entry.load()
        except (Exception, SystemExit) as error:
            file = module_file(plugin.module)
            place = _place(error, file)
            where = f"{place[0]}:{place[1]}" if place else f"'{plugin.entry.value}'"
            raise GradsError(
                f"{plugin} cannot be loaded ({_reason(error, file)}): fix {where}, or uninstall the package"
            ) from error
        declared = loaded if plugin.entry.attr else getattr(loaded, self.attribute, None)
        if not isinstance(declared, self.kind):
            raise GradsError(
                f"{plugin} declares no {self.attribute}: '{plugin.entry.value}' needs a {self.kind.__name__} of that "
                "name; add it, or uninstall the package"
            )
        return declared


def module_file(module: str) -> str:
    """Return the file of a module of this package, as seen from the repository."""
    return module.replace(".", "/") + ".py"


def _reason(error: BaseException, file: str) -> str:
    """Return why a file could not be imported, whatever it raised: it is one file that is to be fixed."""
    if not isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"
    elsewhere = error.filename and not error.filename.endswith(file)
    return f"{error.filename}:{error.lineno}: {error.msg}" if elsewhere else str(error.msg)


def _place(error: BaseException, file: str) -> tuple[str, int] | None:
    """Return where an import failed, as a file and its line: in the file that was to be imported, or else on the way to
    it; None where no file of anybody's was reached.
    """
    # The first frame is that of this module.
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)[1:]]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    places = [(name, line) for name, line in frames if line and "importlib" not in name]
    inside = [place for place in places if place[0].endswith(file)]
    found = inside or places
    return found[-1] if found else None
