"""Manifests: what made an artefact, and whether it is still what was made."""

import functools
import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from grads.runtime.environment import environment
from grads.runtime.errors import GradsError
from grads.runtime.files import digest, read_object, reading, remove, sha256_file, write_json
from grads.runtime.fingerprints import Fingerprints, Stamp, stamp_of

SUFFIX = ".manifest.json"
# Snakemake puts it into every folder that it has a job make.
TIMESTAMP = ".snakemake_timestamp"


def write_manifests(
    outputs: Iterable[Path | str],
    inputs: Iterable[Path | str] | Mapping[str, str],
    settings: Mapping[str, Any],
    started: float,
) -> None:
    """Write what made some artefacts: one manifest in each of their folders, named after the first artefact there.

    Args:
        outputs: the files and folders that one job made.
        inputs: the files and folders that it read, with the SHA-256 of their content where `read_inputs` found them.
        settings: all that shaped the result.
        started: `time.time()` at the start of the work.
    """
    artefacts = [Path(output) for output in outputs]
    recorded = {path: _recorded(path) for path in artefacts}
    known = inputs if isinstance(inputs, Mapping) else {str(path): verified(Path(path)) for path in inputs}
    manifest = {
        "outputs": {str(path): _combined(path, files) for path, files in recorded.items()},
        "inputs": dict(known),
        "settings": settings,
        "seconds": round(time.time() - started, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **environment(),
    }
    for folder in {path.parent: None for path in artefacts}:
        mine = [path for path in artefacts if path.parent == folder]
        files = {name: entry for path in mine for name, entry in recorded[path].items()}
        # Through JSON, which turns some of what settings may hold, such as tuples, into something else.
        here = {"folder": str(folder), "artefacts": [path.name for path in mine], "files": files}
        content = json.loads(json.dumps(manifest | here))
        write_json(_manifest_path(mine[0]), content | {"sha256": digest(content)})
        _forget_elsewhere(mine)
        for path in mine:
            mark_of(path).unlink(missing_ok=True)


def begin_artefacts(outputs: Iterable[Path | str]) -> None:
    """Mark artefacts as being made, until `write_manifests`: what a kill leaves of them is not taken for damage."""
    for path in map(Path, outputs):
        path.parent.mkdir(parents=True, exist_ok=True)
        mark_of(path).touch()


def abandon_artefacts(outputs: Iterable[Path | str]) -> None:
    """Take away the marks of artefacts that a job has failed to make, of which nothing is there."""
    for path in map(Path, outputs):
        if not path.exists():
            mark_of(path).unlink(missing_ok=True)


def mark_of(artefact: Path) -> Path:
    """Return the file that is there while an artefact is being made."""
    return artefact.with_name(f".{artefact.name}.unfinished")


def _recorded(artefact: Path) -> dict[str, dict[str, Any]]:
    """Return what is recorded of an artefact's files: their names below its parent, stamps and SHA-256."""
    return {
        str(file.relative_to(artefact.parent)): {**stamp_of(file)._asdict(), "sha256": sha256_file(file)}
        for file in files_of(artefact)
    }


def files_of(artefact: Path) -> list[Path]:
    """Return a file, or the files of a folder that a job wrote into it, sorted."""
    if artefact.is_file():
        return [artefact]
    return sorted(found for found in artefact.rglob("*") if found.is_file() and found.name != TIMESTAMP)


def _combined(artefact: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the hash of a file, or of a folder's files with their names, from the hashes of the files."""
    if artefact.name in files:
        return str(files[artefact.name]["sha256"])
    names = sorted(files, key=Path)
    lines = (f"{Path(name).relative_to(artefact.name)} {files[name]['sha256']}\n" for name in names)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _manifest_path(artefact: Path) -> Path:
    # A dot in a folder's name, as in that of a model, opens no suffix.
    name = artefact.name if artefact.is_dir() else artefact.stem
    return artefact.with_name(f"{name}{SUFFIX}")


def manifests_for(artefacts: Iterable[Path]) -> list[Path]:
    """Return the manifests that say what made some artefacts, which are there: one in each of their folders."""
    found = [manifest_of(artefact) for artefact in artefacts]
    return list(dict.fromkeys(manifest.path for manifest in found if manifest is not None))


def _forget_elsewhere(artefacts: Collection[Path]) -> None:
    """Take artefacts that have just been recorded out of older manifests of their folder, under other names."""
    names = {path.name for path in artefacts}
    newest = _manifest_path(next(iter(artefacts)))
    for path in newest.parent.glob(f"*{SUFFIX}"):
        if path == newest:
            continue
        try:
            content = read_object(path)
        except GradsError:
            continue
        if names.isdisjoint(content.get("artefacts", ())):
            continue
        content["artefacts"] = [name for name in content["artefacts"] if name not in names]
        content["files"] = {name: file for name, file in content["files"].items() if Path(name).parts[0] not in names}
        content.pop("sha256", None)
        if content["artefacts"]:
            write_json(path, content | {"sha256": digest(content)})
        else:
            remove(path)


@dataclass(frozen=True)
class Damage:
    """What is wrong with an artefact.

    Attributes:
        path: where it is damaged.
        reason: how.
        artefact: the file or folder that is to be deleted with its manifest, and made again.
    """

    path: Path
    reason: str
    artefact: Path

    def __str__(self) -> str:
        """Return what is wrong and what to do, as a sentence."""
        inside = self.artefact in (self.path, *self.path.parents)
        return f"{self.path} {self.reason}: delete {'' if inside else f'{self.path} and '}{self.artefact} and run again"


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was written: what it records of the artefacts in its folder."""

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Raises:
            GradsError: it is damaged, or was edited.
        """
        try:
            return _read(path, stamp_of(path))
        except GradsError:
            raise GradsError(str(Damage(path, DAMAGED_MANIFEST, path.with_name(first_artefact(path))))) from None

    @classmethod
    def parsed(cls, path: Path) -> "Manifest":
        """Read a manifest whatever is known of it; raises like `read`."""
        content = read_object(path)
        found = cls(path, content)
        with reading(path):
            if found.lists_files:
                kept = {key: value for key, value in content.items() if key != "sha256"}
                if content["sha256"] != digest(kept):
                    raise ValueError("it is not as it was written")
            elif not isinstance(content["outputs"], dict):
                raise ValueError("it names no outputs")
        return found

    @property
    def lists_files(self) -> bool:
        """Whether it records each file; earlier versions recorded a hash of each artefact alone."""
        return bool({"artefacts", "files", "sha256"} & self.content.keys())

    @property
    def artefacts(self) -> list[str]:
        """Names of the artefacts in the manifest's own folder."""
        if self.lists_files:
            return list(self.content["artefacts"])
        return list(self._hashes)

    @cached_property
    def _hashes(self) -> dict[str, str]:
        """The hashes of the artefacts in this folder, as an earlier version recorded them."""
        outputs = {Path(path): sha256 for path, sha256 in self.content["outputs"].items()}
        here = self.path.parent.name
        return {path.name: str(sha256) for path, sha256 in outputs.items() if path.parent.name in ("", here)}

    @cached_property
    def _by_artefact(self) -> dict[str, dict[str, dict[str, Any]]]:
        found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in self.artefacts}
        for name, entry in self.content["files"].items():
            found[name.partition("/")[0]][name] = entry
        return found

    def sha256(self, name: str) -> str:
        """Return the hash that is recorded of an artefact's content."""
        if self.lists_files:
            return _combined(self.path.parent / name, self._by_artefact[name])
        return self._hashes[name]

    def _made_at(self, name: str) -> str | None:
        """Return where a study's artefact was made, `results/<study>/...`; the study may be called otherwise now."""
        made = f"{self.content['folder']}/{name}"
        return made if made.startswith("results/") and made.count("/") > 1 else None

    def damage(self, name: str, fingerprints: Fingerprints) -> Damage | None:
        """Return what is wrong with an artefact: stamps are compared first, contents where they differ."""
        artefact = self.path.parent / name
        if not self.lists_files:
            changed = content_sha256(artefact) != self.sha256(name)
            return Damage(artefact, CHANGED, artefact) if changed else None
        files = self._by_artefact[name]
        if (made := self._made_at(name)) and not f"/{artefact.as_posix()}".endswith("/" + made.split("/", 2)[-1]):
            return Damage(artefact, f"was made as {made}, and somebody put it here", artefact)
        if artefact.is_dir() == (name in files):
            made_as, is_now = ("file", "folder") if name in files else ("folder", "file")
            return Damage(artefact, f"is a {is_now}, and was made as a {made_as}", artefact)
        folder = str(self.path.parent)
        for inner, entry in files.items():
            if reason := _difference(f"{folder}/{inner}", entry, fingerprints):
                return Damage(self.path.parent / inner, reason, artefact)
        return None


@functools.lru_cache(maxsize=64)
def _read(path: Path, _stamp: Stamp) -> Manifest:
    """Read a manifest once for all artefacts of its folder, unless it changes."""
    return Manifest.parsed(path)


CHANGED = "is not what was written (its content has changed)"
DAMAGED_MANIFEST = "is damaged, or was edited"
NO_MANIFEST = "has no manifest next to it, so that nobody knows whether it is whole"


def _difference(path: str, entry: Mapping[str, Any], fingerprints: Fingerprints) -> str | None:
    """Return how a file differs from what is recorded of it."""
    try:
        stamp = stamp_of(path)
    except OSError:
        return "is missing"
    if stamp == Stamp(*(entry[field] for field in Stamp._fields)):
        return None
    if not Path(path).is_file():
        return "is a folder, and was made as a file"
    if stamp.size != entry["size"]:
        return f"has {stamp.size:,} bytes, and {entry['size']:,} were written"
    return None if fingerprints.sha256(path) == entry["sha256"] else CHANGED


def first_artefact(manifest: Path) -> str:
    """Return the name of the artefact that a manifest is called after, as far as the folder's listing tells."""
    name = manifest.name.removesuffix(SUFFIX)
    siblings = sorted(path.name for path in manifest.parent.glob(f"{name}*") if not path.name.endswith(SUFFIX))
    return next((one for one in siblings if one == name or Path(one).stem == name), name)


def manifest_of(artefact: Path) -> Manifest | None:
    """Return the manifest that records an artefact, or None where there is none.

    Raises:
        GradsError: that manifest is damaged.
    """
    usual = artefact.with_name(f"{artefact.name if artefact.is_dir() else artefact.stem}{SUFFIX}")
    others = (path for path in sorted(artefact.parent.glob(f"*{SUFFIX}")) if path != usual)
    for path in (*([usual] if usual.is_file() else []), *others):
        manifest = Manifest.read(path)
        if artefact.name in manifest.artefacts:
            return manifest
    return None


def verified(artefact: Path, fingerprints: Fingerprints | None = None) -> str:
    """Return the hash of an artefact's content, which is what its maker recorded; a model of 30 GB is not read again.

    What no manifest records is hashed.

    Raises:
        GradsError: the artefact or its manifest is damaged.
    """
    manifest = manifest_of(artefact)
    if manifest is None:
        return content_sha256(artefact)
    if damage := manifest.damage(artefact.name, fingerprints or Fingerprints()):
        raise GradsError(str(damage))
    return manifest.sha256(artefact.name)


def content_sha256(path: Path) -> str:
    """Return the hash of a file, or of a folder's files with their names.

    Raises:
        GradsError: it is not there or cannot be read.
    """
    with reading(path, "run the command that makes it"):
        if not path.is_dir():
            return sha256_file(path)
        files = {str(file.relative_to(path.parent)): {"sha256": sha256_file(file)} for file in files_of(path)}
        return _combined(path, files)
