"""What comes from outside a study, known by its content: models, data, task files, subsets, claims."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from grads.config.sources import KEPT, Archive, Source
from grads.config.task_file import module_files
from grads.runtime.fingerprints import Fingerprints
from grads.runtime.shipped import is_shipped, written
from grads.study.data_files import data_files


def contents(paths: Iterable[Path | str], fingerprints: Fingerprints) -> dict[str, str]:
    """Return the SHA-256 of files by path, sorted: what a rule or a part of a work folder is known by.

    Of what comes with grads the path is that of a config, wherever grads is installed.

    Raises:
        GradsError: a file is not there or cannot be read.
    """
    found = {written(path): fingerprints.sha256(path) for path in sorted(map(str, paths))}
    fingerprints.save()
    return found


def watched(paths: Iterable[Path | str]) -> list[Path]:
    """Return those files that a job is planned to read: all but what comes with grads, which is known as code is, by
    its content alone.
    """
    return [Path(path) for path in paths if not is_shipped(path)]


def own_files(path: Path | str) -> list[Path]:
    """Return the files of somebody's own that a path stands for: itself, or those of a model or of data in a folder.

    Raises:
        GradsError: a folder of data lacks a shard, or holds several sets of data or none.
    """
    path = Path(path)
    if path.is_dir() and not (path / "config.json").is_file() and not any(path.glob("*.safetensors")):
        return data_files(path)
    return model_files(path)


def source_files(source: Source) -> list[Path]:
    """Return the user's own files that a source reads.

    Raises:
        GradsError: what `own_files` or a source that lists files itself finds wrong with a folder.
    """
    return [file for path in source.own_files for file in own_files(path)]


def model_files(path: Path | str) -> list[Path]:
    """Return the files that a model is read from: the path itself, or of a folder those of a model. Nothing else in
    it, such as checkpoints of its training, is ever read.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    return sorted({file for pattern in KEPT for file in path.glob(pattern) if file.is_file()})


def task_files(path: Path | str) -> list[Path]:
    """Return an lm-eval task file with the Python next to it that it takes functions from."""
    path = Path(path)
    return [path, *sorted(module_files(path).values())] if path.is_file() else [path]


def archive_contents(paths: Mapping[str, Path], archives: Mapping[str, Archive]) -> dict[str, str]:
    """Return the SHA-256 that the config asks for, by path of the fetched archive."""
    return {str(path): archives[name].sha256 for name, path in paths.items()}
