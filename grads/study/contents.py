"""What comes from outside a study, known by its content: models, data, task files, subsets, claims."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from grads.runtime.errors import GradsError
from grads.runtime.files import reading
from grads.runtime.fingerprints import Fingerprints
from grads.study.sources import KEPT, Archive

FUNCTION = "!function"
INCLUDE = "include"


def contents(paths: Iterable[Path | str], fingerprints: Fingerprints) -> dict[str, str]:
    """Return the SHA-256 of files by path, sorted: what a rule or a part of a work folder is known by.

    Raises:
        GradsError: a file is not there or cannot be read.
    """
    found = {str(path): fingerprints.sha256(path) for path in sorted(map(str, paths))}
    fingerprints.save()
    return found


def own_files(path: Path | str) -> list[Path]:
    """Return the files of somebody's own that a path stands for: itself, or of a folder those that a model is read
    from. Nothing else in such a folder, such as checkpoints of its training, is ever read.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    return sorted({file for pattern in KEPT for file in path.glob(pattern) if file.is_file()})


def task_files(path: Path | str) -> list[Path]:
    """Return an lm-eval task file with the files that it refers to: modules of functions, and files it includes.

    What is no YAML refers to nothing here; the stage that reads it says what is wrong.
    """
    found: list[Path] = []
    waiting = [Path(path)]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.append(file)
        if file.suffix != ".py":
            waiting += _referred(file)
    return sorted(found)


def _referred(file: Path) -> list[Path]:
    try:
        with reading(file):
            root = yaml.compose(file.read_text("utf-8"), Loader=yaml.SafeLoader)
    except (GradsError, yaml.YAMLError):
        return []
    found, waiting = [], [root] if root else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == INCLUDE and isinstance(value, yaml.ScalarNode):
                    found.append(file.parent / value.value)
                waiting += [key, value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif node.tag == FUNCTION:
            found.append(file.parent / f"{node.value.rpartition('.')[0]}.py")
    return found


def archive_contents(paths: Mapping[str, Path], archives: Mapping[str, Archive]) -> dict[str, str]:
    """Return the SHA-256 that the config asks for, by path of the fetched archive."""
    return {str(path): archives[name].sha256 for name, path in paths.items()}
