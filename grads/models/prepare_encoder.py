"""Preparing a sentence encoder: a folder of safetensors and a tokenizer, from one's own folder or out of an archive."""

import tempfile
from pathlib import Path

from grads.config.sources import KEPT, ArchiveSource, FileSource
from grads.data.sources.archives import read_folder
from grads.models.prepare import place_checkpoint
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path


def prepare_encoder(source: FileSource | ArchiveSource, archive_path: Path | str | None, out: Path | str) -> None:
    """Write an encoder's weights and tokenizer to the folder `out`, atomically, without pickles and code, if whole.

    Args:
        source: a `save_pretrained` folder, or one inside an archive.
        archive_path: the fetched archive of an `ArchiveSource`.
        out: the folder to write.

    Raises:
        GradsError: the folder is not there, has no safetensors, or needs code of its own; weights are missing,
            unexpected, of other sizes, damaged or no numbers; or there is no tokenizer that belongs to them.
    """
    if isinstance(source, FileSource):
        folder = Path(source.path)
        if not folder.is_dir():
            raise GradsError(f"encoder source {source.path} is no folder: give one that save_pretrained wrote")
        with atomic_path(out) as temporary:
            temporary.mkdir()
            place_checkpoint(folder, temporary, "encoder")
        return
    if archive_path is None:
        raise ValueError("an encoder from an archive needs 'archive_path'")
    with atomic_path(out) as temporary:
        temporary.mkdir()
        # Inside the folder that is renamed when whole, so that nothing is left behind if this process is killed.
        with tempfile.TemporaryDirectory(prefix="archive-", dir=temporary) as scratch:
            for name, content in read_folder(archive_path, source.member).items():
                if any(Path(name).match(pattern) for pattern in KEPT):
                    (Path(scratch) / name).write_bytes(content)
            place_checkpoint(Path(scratch), temporary, "encoder", f"{source.archive}: {source.member}")
