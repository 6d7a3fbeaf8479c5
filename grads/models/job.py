"""The jobs that fetch models and make them ready."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from grads.config.kinds import MODELS, fetched
from grads.config.models import EncoderSource, ModelSource
from grads.runtime.runner import Machine
from grads.study.job import Given, Job, Made, Read


class FetchModel(Job):
    """Fetches a model from the network."""

    rule = "prefetch_model"
    modules = ()
    hub = True

    source: ModelSource = Field(discriminator="kind")
    folder: Made[Path]

    def run(self, machine: Machine) -> None:
        """Fetch it."""
        fetched(MODELS.find(self.source.kind))(self.source, self.folder)


class PrepareModel(Job):
    """Makes a folder of safetensors and a tokenizer of a model, wherever it comes from.

    Attributes:
        archive: the fetched archive that holds it, if it is in one.
        files: the user's own files of it, if there are any.
        fetched: what was fetched from the network, if anything was.
        weights: whether they are wanted; config and tokenizer are enough to count tokens.
        folder: the prepared model.
    """

    rule = "prepare_model"
    modules: ClassVar[tuple[str, ...]] = ("grads.models.prepare",)

    source: ModelSource = Field(discriminator="kind")
    archive: Given[Path | None] = None
    files: Given[list[Path]] = []
    fetched: Read[Path | None] = None
    weights: bool = True
    folder: Made[Path]

    @property
    def more_modules(self) -> list[str]:
        """That of the kind of source that it comes from."""
        return [MODELS.module_of(self.source.kind)]

    def run(self, machine: Machine) -> Mapping[str, Any]:
        """Prepare it; there is nothing more to say of how."""
        from grads.models.prepare import prepare_model

        prepare_model(self.source, self.fetched or self.archive, self.folder, self.weights)
        return {}


class PrepareEncoder(Job):
    """Makes a folder of safetensors and a tokenizer of a sentence encoder.

    Attributes:
        archive: the fetched archive that holds it, if it is in one.
        files: the user's own files of it, if there are any.
        fetched: what was fetched from the network, if anything was.
        folder: the prepared encoder.
    """

    rule = "prepare_encoder"
    modules = ("grads.models.prepare_encoder",)

    source: EncoderSource = Field(discriminator="kind")
    archive: Given[Path | None] = None
    files: Given[list[Path]] = []
    fetched: Read[Path | None] = None
    folder: Made[Path]

    @property
    def more_modules(self) -> list[str]:
        """That of the kind of source that it comes from."""
        return [MODELS.module_of(self.source.kind)]

    def run(self, machine: Machine) -> None:
        """Prepare it."""
        from grads.models.prepare_encoder import prepare_encoder

        prepare_encoder(self.source, self.fetched or self.archive, self.folder)
