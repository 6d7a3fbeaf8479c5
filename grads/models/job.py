"""The jobs that fetch models and make them ready."""

from pathlib import Path

from grads.config.sources import ArchiveSource, FileSource, HubSource, TinySource
from grads.runtime.runner import Machine
from grads.study.job import Given, Job, Made, Read


class FetchModel(Job):
    """Fetches a model from the hub."""

    rule = "prefetch_model"
    modules = ()
    hub = True

    source: HubSource
    folder: Made[Path]

    def run(self, machine: Machine) -> None:
        """Fetch it."""
        from grads.data.sources.hub import fetch_model

        fetch_model(self.source, self.folder)


class PrepareModel(Job):
    """Makes a folder of safetensors and a tokenizer of a model, wherever it comes from.

    Attributes:
        archive: the fetched archive that holds it, if it is in one.
        files: the user's own files of it, if there are any.
        fetched: the folder that the hub gave, if it is from there.
        weights: whether they are wanted; config and tokenizer are enough to count tokens.
        folder: the prepared model.
    """

    rule = "prepare_model"
    modules = ("grads.models.prepare",)

    source: FileSource | ArchiveSource | HubSource | TinySource
    archive: Given[Path | None] = None
    files: Given[list[Path]] = []
    fetched: Read[Path | None] = None
    weights: bool = True
    folder: Made[Path]

    def run(self, machine: Machine) -> None:
        """Prepare it."""
        from grads.models.prepare import prepare_model

        prepare_model(self.source, self.fetched or self.archive, self.folder, self.weights)


class PrepareEncoder(Job):
    """Makes a folder of safetensors and a tokenizer of a sentence encoder.

    Attributes:
        archive: the fetched archive that holds it, if it is in one.
        files: the user's own files of it, if there are any.
        folder: the prepared encoder.
    """

    rule = "prepare_encoder"
    modules = ("grads.models.prepare_encoder",)

    source: FileSource | ArchiveSource
    archive: Given[Path | None] = None
    files: Given[list[Path]] = []
    folder: Made[Path]

    def run(self, machine: Machine) -> None:
        """Prepare it."""
        from grads.models.prepare_encoder import prepare_encoder

        prepare_encoder(self.source, self.archive, self.folder)
