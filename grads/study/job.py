"""Jobs: what each kind of them reads, writes and is shaped by, as one typed model.

A stage declares its jobs in a `job.py`, `grads.graph` says which of them a study or a command has, and everything else
reads them there: the workflow's rules, the commands, `grads status` and `grads plan`.
"""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from grads.runtime.runner import Machine
from grads.study.code import code_version


class Role(Enum):
    """What a field of a job is, where it is not a setting that shapes the result."""

    READ = "read"
    GIVEN = "given"
    MADE = "made"
    ASIDE = "aside"


Field = TypeVar("Field")
Read = Annotated[Field, Role.READ]
"""Files and folders that other jobs make: a path, or several, in a list or by name."""
Given = Annotated[Field, Role.GIVEN]
"""Files from outside the study, known by their content."""
Made = Annotated[Field, Role.MADE]
"""Files and folders that the job makes."""
Aside = Annotated[Field, Role.ASIDE]
"""What shapes no result, such as how progress lines call the job: another value runs nothing again."""


class Job(BaseModel, ABC):
    """A job.

    Attributes:
        rule: its rule in the workflow.
        modules: those whose code shapes what it makes.
        device: whether such jobs compute on a GPU where there is one.
        hub: whether it fetches from the Hugging Face hub.
        takes: the fields of `Machine` that it reads.
        contents: the SHA-256 of what comes from outside, by path.
        log: what a job of the workflow says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    rule: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    device: ClassVar[bool] = False
    hub: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ()

    contents: dict[str, str] = {}
    log: Aside[Path] = Path()

    @abstractmethod
    def run(self, machine: Machine) -> Mapping[str, Any] | None:
        """Make what the job makes; nothing heavy is imported before.

        Returns:
            What manifests say, besides the settings, of how it was made, if anything.
        """

    @property
    def more_modules(self) -> Iterable[str]:
        """Further modules whose code shapes what this very job makes, such as its method's."""
        return ()

    @property
    def needs_device(self) -> bool:
        """Whether this very job computes on a GPU where there is one."""
        return self.device

    @cached_property
    def read(self) -> dict[str, list[Path]]:
        """What it reads that other jobs make, by field."""
        return self._paths(Role.READ)

    @cached_property
    def given(self) -> dict[str, list[Path]]:
        """What it reads from outside, by field."""
        return self._paths(Role.GIVEN)

    @cached_property
    def made(self) -> dict[str, list[Path]]:
        """What it makes, by field."""
        return self._paths(Role.MADE)

    @property
    def read_paths(self) -> list[Path]:
        """All that it reads that other jobs make."""
        return [path for paths in self.read.values() for path in paths]

    @property
    def inputs(self) -> list[Path]:
        """All that it reads."""
        return [path for fields in (self.read, self.given) for paths in fields.values() for path in paths]

    @property
    def outputs(self) -> list[Path]:
        """All that it makes."""
        return [path for paths in self.made.values() for path in paths]

    @classmethod
    def setting_names(cls) -> list[str]:
        """Return the names of the settings: of all fields that have no role, and `code`."""
        return [*(name for name in cls.model_fields if name not in _roles(cls)), "code"]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that shapes the result, but for the files that are read: another value runs the job again."""
        return {**self.model_dump(mode="json", exclude=set(_roles(type(self)))), "code": self.version}

    def changed(self, **fields: Any) -> Self:
        """Return the same job with other values of some fields."""
        return cast(Self, self.model_construct(**{**dict(self), **fields}))

    @property
    def version(self) -> str:
        """The version of the code that shapes what it makes, the job's own `run` included."""
        return _version((*self.modules, *self.more_modules), type(self))

    def _paths(self, role: Role) -> dict[str, list[Path]]:
        fields = [name for name, found in _roles(type(self)).items() if found is role]
        return {name: list(_listed(getattr(self, name))) for name in fields}


@functools.cache
def _roles(kind: type[Job]) -> Mapping[str, Role]:
    found = {}
    for name, field in kind.model_fields.items():
        roles = [one for one in field.metadata if isinstance(one, Role)]
        if roles:
            found[name] = roles[0]
    return found


def _listed(value: Any) -> Iterator[Path]:
    """Yield the paths that a field holds, in their order."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _listed(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _listed(inner)


@functools.cache
def _version(modules: tuple[str, ...], kind: type[Job]) -> str:
    """Return the version of some modules and of a job's class, and of those classes that it is built on."""
    classes = [inspect.getsource(one) for one in kind.__mro__ if issubclass(one, Job) and one is not Job]
    return code_version(*modules, classes=classes)
