"""Preparing a sentence encoder: a folder of safetensors and a tokenizer, from one's own folder or out of an archive."""

import json
from pathlib import Path

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from grads.data.archives import read_folder
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path
from grads.study.config import ArchiveSource, FileSource
from grads.study.sources import KEPT


def prepare_encoder(source: FileSource | ArchiveSource, archive_path: Path | str | None, out: Path | str) -> None:
    """Write an encoder's weights and tokenizer to the folder `out`, atomically, without pickles and code.

    Args:
        source: a `save_pretrained` folder, or one inside an archive.
        archive_path: the fetched archive of an `ArchiveSource`.
        out: the folder to write.

    Raises:
        GradsError: the folder is not there, has no safetensors, or needs code of its own.
    """
    if isinstance(source, ArchiveSource):
        if archive_path is None:
            raise ValueError("an encoder from an archive needs 'archive_path'")
        place, files = f"{source.archive}: {source.member}", read_folder(archive_path, source.member)
    else:
        place, folder = source.path, Path(source.path)
        if not folder.is_dir():
            raise GradsError(f"encoder source {place} is no folder: give one that save_pretrained wrote")
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    kept = {name: content for name, content in files.items() if any(Path(name).match(pattern) for pattern in KEPT)}
    for needed in ("config.json", "*.safetensors"):
        if not any(Path(name).match(needed) for name in kept):
            raise GradsError(f"{place} has no {needed}: give a folder that save_pretrained wrote as safetensors")
    kind = json.loads(kept["config.json"]).get("model_type")
    if kind not in CONFIG_MAPPING_NAMES:
        raise GradsError(
            f"{place}: model_type '{kind}' is no model of transformers itself, and code that comes with a model is "
            "never run: choose another encoder"
        )
    with atomic_path(out) as temporary:
        temporary.mkdir()
        for name, content in kept.items():
            (temporary / name).write_bytes(content)
