"""`pypi`: a model as a GGUF file, or the folder of a sentence encoder, inside an archive of the package index."""

import shutil
import tempfile
from pathlib import Path

from grads.config.kinds import ModelKind
from grads.config.sources import KEPT, ArchiveSource
from grads.runtime.errors import GradsError


def prepare(source: ArchiveSource, archive: Path | None, out: Path, weights: bool) -> None:
    """Unpack and dequantise the GGUF."""
    from grads.data.sources.archives import open_member
    from grads.models.prepare import place_gguf

    assert archive is not None
    if not source.member.endswith(".gguf"):
        raise GradsError(f"model member '{source.member}' of archive '{source.archive}' is no .gguf file: name one")
    # Inside the folder that is renamed when whole, so that nothing is left behind if this process is killed.
    with tempfile.TemporaryDirectory(prefix="gguf-", dir=out) as scratch:
        path = Path(scratch) / Path(source.member).name
        with open_member(archive, source.member) as member, path.open("wb") as handle:
            shutil.copyfileobj(member, handle, 1 << 20)
        place_gguf(path, out, weights)


def prepare_encoder(source: ArchiveSource, archive: Path | None, out: Path) -> None:
    """Unpack the folder."""
    from grads.data.sources.archives import read_folder
    from grads.models.prepare import place_checkpoint

    assert archive is not None
    # Inside the folder that is renamed when whole, so that nothing is left behind if this process is killed.
    with tempfile.TemporaryDirectory(prefix="archive-", dir=out) as scratch:
        for name, content in read_folder(archive, source.member).items():
            if any(Path(name).match(pattern) for pattern in KEPT):
                (Path(scratch) / name).write_bytes(content)
        place_checkpoint(Path(scratch), out, "encoder", f"{source.archive}: {source.member}")


SOURCE = ModelKind(section=ArchiveSource, prepare=prepare, prepare_encoder=prepare_encoder, order=20)
