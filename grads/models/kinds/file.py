"""`file`: a model or sentence encoder of one's own, a `save_pretrained` folder; of models a GGUF file as well."""

from pathlib import Path

from grads.config.kinds import ModelKind
from grads.config.sources import FileSource
from grads.runtime.errors import GradsError


def prepare(source: FileSource, _fetched: Path | None, out: Path, weights: bool) -> None:
    """Link and copy the folder, or dequantise the GGUF."""
    from grads.models.prepare import place_checkpoint, place_gguf

    path = Path(source.path)
    if path.is_dir():
        place_checkpoint(path, out, weights=weights)
    elif path.is_file() and source.path.endswith(".gguf"):
        place_gguf(path, out, weights)
    else:
        raise GradsError(f"model source {source.path} is neither a folder nor a .gguf file: correct its 'path'")


def prepare_encoder(source: FileSource, _fetched: Path | None, out: Path) -> None:
    """Link and copy the folder."""
    from grads.models.prepare import place_checkpoint

    folder = Path(source.path)
    if not folder.is_dir():
        raise GradsError(f"encoder source {source.path} is no folder: give one that save_pretrained wrote")
    place_checkpoint(folder, out, "encoder")


SOURCE = ModelKind(
    section=FileSource,
    prepare=prepare,
    prepare_encoder=prepare_encoder,
    known=lambda source: Path(source.path),
    order=10,
)
