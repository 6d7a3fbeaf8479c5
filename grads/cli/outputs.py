"""What a command may write over: what it made itself, never what it reads, and nothing of anybody else unasked."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from grads.runtime.errors import GradsError

Force = Annotated[
    bool, typer.Option("--force", help="Write over files that are there already and that this command did not make.")
]


def manifest_of(out: Path) -> Path:
    """Return where the manifest of an output is, a file (by its stem) or a folder that has no suffix."""
    return out.with_name(f"{out.stem}.manifest.json")


def check_outputs(command: str, outputs: Iterable[Path], inputs: Iterable[Path], force: bool) -> None:
    """Refuse, before any work, to write over what the command reads, or over what something else made.

    The same command may write again what its manifest says that it wrote.

    Args:
        command: the name of the command, as its manifests have it.
        outputs: all files that it writes; the last is its manifest, the first that of `--out`.
        inputs: files and folders that it reads; those that are not there are passed over.
        force: whether it may write over what something else made.

    Raises:
        GradsError: an output is an input, by whatever path or link, is in a folder of the input, or is somebody else's.
    """
    *files, manifest = outputs
    refuse_inputs([*files, manifest], inputs)
    made = made_by(command, manifest)
    for file in [] if force else [*files, manifest]:
        if file.name not in made and not (file == manifest and made):
            refuse_others(command, file)


def check_export(folder: Path, command: str, inputs: Iterable[Path], force: bool) -> None:
    """Refuse, before any work, a folder of an export as `check_outputs` refuses files.

    Raises:
        GradsError: it is a file, or what would be written in it is an input, or somebody else's.
    """
    from grads.api.export import export_files

    if folder.exists() and not folder.is_dir():
        raise GradsError(f"{folder} is a file: give the name of a folder")
    files = export_files(folder)
    check_outputs(command, [*files, manifest_of(files[0])], inputs, force)


def refuse_inputs(outputs: Sequence[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over what a command reads.

    Raises:
        GradsError: an output is an input, by whatever path or link, or is in a folder of the input.
    """
    for path in inputs:
        for file in outputs if path.exists() else ():
            if _is_in(file, path):
                raise GradsError(f"--out {outputs[0]}: {file} is an input of this command: give another name")


def refuse_others(command: str, file: Path) -> None:
    """Refuse a file that is there; of one that the command made itself this is not asked.

    Raises:
        GradsError: it is there.
    """
    if file.exists() or file.is_symlink():
        raise GradsError(
            f"{file} is there already, and no earlier `grads {command}` made it: move it away, give another --out, or "
            "add --force to write over it"
        )


def made_by(command: str, manifest: Path) -> dict[str, str]:
    """Return what a manifest says that a command made, as names to SHA-256; nothing where it is of something else."""
    found = read_manifest(manifest)
    settings = found.get("settings")
    # Manifests of before this key was written are taken for the command's own.
    if not isinstance(settings, Mapping) or settings.get("command", command) != command:
        return {}
    return _names(found.get("outputs"))


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest; an empty one where there is none, or another file is called so."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def inputs_of(manifest: Path) -> dict[str, str]:
    """Return the names and SHA-256 of what a manifest says was read."""
    return _names(read_manifest(manifest).get("inputs"))


def _names(hashes: object) -> dict[str, str]:
    if not isinstance(hashes, Mapping):
        return {}
    return {Path(str(path)).name: str(sha256) for path, sha256 in hashes.items()}


def _is_in(file: Path, path: Path) -> bool:
    """Whether a file that would be written is a path, by another name or link, or a file in that folder."""
    if file.resolve() == path.resolve():
        return True
    if not file.exists():
        return False
    return file.samefile(path) or (path.is_dir() and file.resolve().is_relative_to(path.resolve()))
