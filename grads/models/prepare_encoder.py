"""Preparing a sentence encoder: a folder of safetensors and a tokenizer, from one's own folder or out of an archive."""

from pathlib import Path

from grads.config.kinds import MODELS
from grads.config.sources import Source
from grads.runtime.files import atomic_path


def prepare_encoder(source: Source, archive_path: Path | str | None, out: Path | str) -> None:
    """Write an encoder's weights and tokenizer to the folder `out`, atomically, without pickles and code, if whole.

    Args:
        source: of a kind that has encoders.
        archive_path: the archive that the source is in, or what was fetched from the network.
        out: the folder to write.

    Raises:
        GradsError: the folder is not there, has no safetensors, or needs code of its own; weights are missing,
            unexpected, of other sizes, damaged or no numbers; or there is no tokenizer that belongs to them.
    """
    if archive_path is None and (source.fetched or source.archive_key):
        raise ValueError(f"an encoder of kind '{source.kind}' needs 'archive_path'")
    prepare = MODELS.find(source.kind).prepare_encoder
    if prepare is None:
        raise ValueError(f"there are no encoders of kind '{source.kind}'")
    with atomic_path(out) as temporary:
        temporary.mkdir()
        prepare(source, None if archive_path is None else Path(archive_path), temporary)
