"""What a kind of source declares, as `SOURCE` in a file of its own, and which kinds there are.

Kinds of records are the files of `grads/data/kinds`, kinds of models those of `grads/models/kinds`; other packages add
to them by the entry points `grads.sources` and `grads.model_sources`. The config is made of their sections, so these
files are imported to read one: what is heavy is imported inside functions.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

from grads.config.sources import Source
from grads.runtime.errors import GradsError
from grads.runtime.registry import Registry

AnySource = TypeVar("AnySource", bound=Source)
AnyKind = TypeVar("AnyKind", bound="Kind[Any]")
LAST = 1000
"""The order of a kind that does not say where it stands."""
Rows = Iterator[tuple[str, dict[str, Any]]]
"""Where each row stands, as errors name it, and its columns."""


@dataclass(frozen=True)
class Reading:
    """What is at hand where records are read.

    Attributes:
        archives: the fetched archives of the study, by their keys.
        title: of the domain.
        scratch: a folder for what is needed while reading, shared by all domains.
    """

    archives: Mapping[str, Path]
    title: str
    scratch: Path

    def archive(self, source: Source) -> Path:
        """Return the archive that a source is in.

        Raises:
            GradsError: the study has no such archive.
        """
        return archive_of(source, self.archives)


def archive_of(source: Source, archives: Mapping[str, Path]) -> Path:
    """Return the archive that a source is in, of those of the study.

    Raises:
        GradsError: the study has no such archive.
    """
    key = source.archive_key
    if key is None or key not in archives:
        raise GradsError(f"'{key}' is not among the study's archives: add it to 'archives' in the config")
    return archives[key]


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[AnySource]):
    """What all kinds declare.

    Attributes:
        section: of the config; its `kind` is the kind's name.
        fetch: writes what the source fetches from the network to a path, that of its `fetched`. It is called in a job
            of its own, before all others; all other jobs have no network.
        order: its place in messages and on the reference page; of equal ones the name decides.
    """

    section: type[AnySource]
    fetch: Callable[[AnySource, Path], object] | None = None
    order: int = LAST

    def __post_init__(self) -> None:
        kind = self.section.model_fields["kind"]
        if get_origin(kind.annotation) is not Literal:
            raise TypeError(f"'kind' of {self.section.__name__} is no Literal: write the name of the kind as one")
        fetched: Any = self.section.fetched
        if (self.fetch is None) != (fetched is Source.fetched):
            raise TypeError(f"{self.section.__name__} needs both 'fetched' and a 'fetch', or neither")

    @property
    def name(self) -> str:
        """The kind, as the config calls it."""
        return str(get_args(self.section.model_fields["kind"].annotation)[0])


@dataclass(frozen=True, kw_only=True)
class RecordKind(Kind[AnySource]):
    """A kind of source of records: those of domains, and general instructions.

    Attributes:
        rows: yields the rows of a source, from which records are read by their columns (docs/data.md). What is fetched
            is a Parquet file; its `fetch` writes a JSON file of the same stem next to it, which says what was fetched.
        titled: whether the rows are questions made by code that name the domain by its title. They have no columns that
            the config could name, and are no general instructions.
    """

    rows: Callable[[AnySource, Reading], Rows]
    titled: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelKind(Kind[AnySource]):
    """A kind of source of models.

    Attributes:
        prepare: writes safetensors, config and tokenizer of a model to an empty folder. Its arguments are the source;
            what was fetched, or the archive that it is in, or None; the folder; and whether weights are wanted, or only
            config and tokenizer.
        prepare_encoder: the same of a sentence encoder, always with its weights; None where this kind has none.
        known: where it says how large a model is before it is prepared: a `save_pretrained` folder, a GGUF file, or
            what its config.json says; None where it is not known. What is fetched is looked at where it lies.
    """

    prepare: Callable[[AnySource, Path | None, Path, bool], None]
    prepare_encoder: Callable[[AnySource, Path | None, Path], None] | None = None
    known: Callable[[AnySource], Path | Mapping[str, Any] | None] = lambda _: None


RECORDS: Registry[RecordKind[Any]] = Registry(
    "grads.data.kinds", "SOURCE", RecordKind, "there are no records of the kind", group="grads.sources"
)
MODELS: Registry[ModelKind[Any]] = Registry(
    "grads.models.kinds", "SOURCE", ModelKind, "there are no models of the kind", group="grads.model_sources"
)


# What was wrong when the config's unions were made, which a second try may not show: modules are there by then.
_broken: list[GradsError] = []


def fetched(kind: Kind[AnySource]) -> Callable[[AnySource, Path], object]:
    """Return what fetches the sources of a kind, which says that it fetches some."""
    assert kind.fetch is not None
    return kind.fetch


def in_order(registry: Registry[AnyKind]) -> list[AnyKind]:
    """Return all kinds of a registry in the order in which messages name them.

    Where one is broken these are our own that are not, so that the config can be imported all the same: `check_kinds`
    says so before one is read.
    """
    try:
        found = registry.all()
    except GradsError as error:
        _broken.append(error)
        found = registry.sound()
    return sorted(found.values(), key=lambda kind: (kind.order, kind.name))


def check_kinds() -> None:
    """Refuse kinds that cannot be used.

    Raises:
        GradsError: when the config was imported, one could not be, declared nothing, or was called as another is.
    """
    if _broken:
        raise _broken[0]


def union(kinds: Iterable[Kind[Any]]) -> Any:
    """Return the type of a source of one of some kinds, for a field that `kind` decides."""
    return functools.reduce(operator.or_, (kind.section for kind in kinds))
