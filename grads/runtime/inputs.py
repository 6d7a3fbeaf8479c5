"""What a job reads: checked by its manifests before it begins, and unchanged when it is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grads.runtime.errors import GradsError
from grads.runtime.files import reading
from grads.runtime.fingerprints import OUTSIDE, Fingerprints, Stamp, stamp_of
from grads.runtime.manifest import NO_MANIFEST, Damage, files_of, manifest_of, verified


@dataclass(frozen=True)
class Inputs:
    """What a job reads, as it was when the job began: the SHA-256 and the stamps by path."""

    sha256: Mapping[str, str]
    stamps: Mapping[Path, Stamp]

    def check_unchanged(self) -> None:
        """Refuse what was made of inputs that changed under way.

        Raises:
            GradsError: it names the first.
        """
        for path, before in self.stamps.items():
            with reading(path, "run again"):
                now = stamp_of(path)
            # Further hard links to it move the other two.
            if (now.size, now.mtime_ns) != (before.size, before.mtime_ns):
                raise GradsError(f"{path} changed while it was read: run again")


def read_inputs(paths: Iterable[Path | str], outside: Mapping[str, str], made: Path) -> Inputs:
    """Check what a job is about to read.

    Args:
        paths: files and folders.
        outside: of those that come from outside, the SHA-256 that they had when the job was planned.
        made: where all else that lies below was made by a job, and so has a manifest.

    Raises:
        GradsError: an input is damaged, has changed, or should have a manifest and has none.
    """
    fingerprints = Fingerprints(OUTSIDE)
    found = {}
    for path in map(Path, paths):
        if (planned := outside.get(str(path))) is not None:
            found[str(path)] = _as_planned(path, planned, fingerprints)
            continue
        if path.is_relative_to(made):
            with reading(path, "run again"):
                stamp_of(path)
            if manifest_of(path) is None:
                raise GradsError(str(Damage(path, NO_MANIFEST, path)))
        elif not path.exists():  # Snakemake starts no job whose inputs are not there.
            continue
        found[str(path)] = verified(path)
    fingerprints.save()
    return Inputs(found, {file: stamp_of(file) for path in found for file in files_of(Path(path))})


def _as_planned(path: Path, planned: str, fingerprints: Fingerprints) -> str:
    if fingerprints.sha256(path) != planned:
        raise GradsError(f"{path} is not the file that this job was planned for (SHA-256 {planned}): run again")
    return planned
