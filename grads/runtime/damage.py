"""Damage in a folder of artefacts: what is not as its manifest says, or has none."""

from collections.abc import Iterator
from pathlib import Path

from grads.runtime.errors import GradsError
from grads.runtime.fingerprints import Fingerprints
from grads.runtime.manifest import (
    DAMAGED_MANIFEST,
    NO_MANIFEST,
    SUFFIX,
    TIMESTAMP,
    Damage,
    Manifest,
    first_artefact,
    manifest_of,
    mark_of,
)

# What jobs write below a study; other files there are somebody's notes.
_WRITTEN = {".parquet", ".json", ".jsonl", ".yaml", ".npy", ".safetensors"}


def artefact_damage(artefact: Path, fingerprints: Fingerprints) -> Damage | None:
    """Return what is wrong with an artefact that is there; nothing where no manifest lists its files."""
    try:
        manifest = manifest_of(artefact)
    except GradsError:
        return Damage(artefact, "has a damaged manifest next to it", artefact)
    return None if manifest is None else _settled(manifest, artefact.name, fingerprints)


def damage_below(folder: Path, fingerprints: Fingerprints, strict: bool, deep: bool = True) -> Iterator[Damage]:
    """Yield what is wrong with the artefacts below a folder, at the price of a look at each directory entry.

    Args:
        folder: such as that of a study's runs.
        fingerprints: remember what was verified by content.
        strict: whether files that a job could have written must have a manifest.
        deep: whether to look into folders that are no artefacts.
    """
    entries = sorted(folder.iterdir())
    names = {path.name for path in entries}
    # What a job is making, or was making when it was killed.
    unfinished = {path.name for path in entries if mark_of(path).name in names}
    covered = set(unfinished)
    for path in entries:
        if not path.name.endswith(SUFFIX):
            continue
        try:
            manifest = Manifest.read(path)
        except GradsError:
            artefact = path.with_name(first_artefact(path))
            yield Damage(path, DAMAGED_MANIFEST, artefact)
            # It may have listed any of them.
            covered |= names
            continue
        for name in manifest.artefacts:
            if name in names - unfinished and (damage := _settled(manifest, name, fingerprints)):
                yield damage
        covered.update(manifest.artefacts)
    for path in entries:
        if path.name.startswith(".") or path.name in covered or path.name.endswith(SUFFIX):
            continue
        if path.is_dir() and not (path / TIMESTAMP).exists():
            yield from damage_below(path, fingerprints, strict) if deep else ()
        elif strict and (path.is_dir() or path.suffix in _WRITTEN):
            yield Damage(path, NO_MANIFEST, path)


def _settled(manifest: Manifest, name: str, fingerprints: Fingerprints) -> Damage | None:
    """Return what is wrong with an artefact, and nothing where a job is replacing it at this moment."""
    if not manifest.lists_files:
        return None
    damage = manifest.damage(name, fingerprints)
    if damage is None or not damage.artefact.exists() or mark_of(damage.artefact).exists():
        return None
    try:
        return Manifest.read(manifest.path).damage(name, fingerprints)
    except GradsError:
        return None
