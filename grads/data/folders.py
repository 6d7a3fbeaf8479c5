"""The files of a data set that is a folder: what `save_to_disk` wrote, or shards of one format."""

import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from grads.runtime.errors import GradsError

# What the datasets library writes into a folder: of one split, and above several.
STATE = "state.json"
SPLITS = "dataset_dict.json"
# Files that tell of a data set and hold none of its rows.
DESCRIPTIONS = {STATE, SPLITS, "dataset_info.json", "dataset_infos.json"}
SHARD = re.compile(r"(?P<set>.*?)[-_.]?(?P<number>\d+)-of-(?P<total>\d+)(?:-\w+)?")
# A name of a split as a word of its own.
SPLIT = re.compile(
    r"(?<![a-z])(train|training|valid|validation|val|dev|test|testing|eval|evaluation)(?![a-z])", re.IGNORECASE
)


def data_files(folder: Path, format_of: Callable[[str], str | None]) -> list[Path]:
    """Return the files that hold a folder's rows, in the order of their numbers.

    Args:
        folder: a folder that `save_to_disk` wrote, or one with files of one split and one format.
        format_of: the format of a file's name; None for a name that is of no data.

    Raises:
        GradsError: a shard is missing, or the folder has several splits, several formats, or no data at all.
    """
    if (folder / SPLITS).is_file():
        names = sorted(path.name for path in folder.iterdir() if (path / STATE).is_file())
        raise _several(folder, names or ["none that is whole"])
    if (folder / STATE).is_file():
        return _saved(folder)
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "_"))]
    formats = {path: form for path in files if path.name not in DESCRIPTIONS and (form := format_of(path.name))}
    if not formats:
        inner = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        hint = f"name one of its folders ({', '.join(inner[:6])}), if it is that" if inner else "name another folder"
        raise GradsError(f"{folder} is a folder without data files: {hint}")
    sets = {_set_of(path.name) for path in formats}
    if len(sets) > 1:
        raise _several(folder, sorted(name or "others" for name in sets))
    if len(found := set(formats.values())) > 1:
        raise GradsError(
            f"{folder} has files of several formats ({', '.join(sorted(found))}): leave those of one in it"
        )
    _check_numbers(folder, list(formats))
    return sorted(formats, key=_in_order)


def _several(folder: Path, names: Sequence[str]) -> GradsError:
    return GradsError(
        f"{folder} has several splits ({', '.join(names)}): name the folder of one, such as {folder / names[0]}, or "
        "put the files of one into a folder of their own"
    )


def _saved(folder: Path) -> list[Path]:
    """Return the Arrow files of a data set that `save_to_disk` wrote."""
    try:
        state = json.loads((folder / STATE).read_text("utf-8"))
        names = [entry["filename"] for entry in state["_data_files"]]
        chosen = state.get("_indices_files") or state.get("_indices_data_files")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise GradsError(
            f"{folder / STATE} is not what the datasets library writes ({reason}): save it again"
        ) from None
    if chosen:
        raise GradsError(f"{folder} holds a choice of rows, of an old datasets library: save it again with a newer one")
    _check_there(folder, [name for name in names if not (folder / name).is_file()], len(names))
    return [folder / name for name in names]


def _set_of(name: str) -> str:
    """Return what a file of a folder is a part of: what stands before its number, or the split in its name."""
    if shard := SHARD.match(name):
        return shard["set"]
    split = SPLIT.search(name.partition(".")[0])
    return split[0].lower() if split else ""


def _check_numbers(folder: Path, files: Sequence[Path]) -> None:
    """Refuse shards `00000-of-00003` that are not all there."""
    shards = [match for path in files if (match := SHARD.match(path.name))]
    if not shards:
        return
    totals = {int(shard["total"]) for shard in shards}
    numbers = [int(shard["number"]) for shard in shards]
    if len(totals) > 1 or len(shards) < len(files) or len(set(numbers)) < len(numbers):
        names = ", ".join(sorted(path.name for path in files)[:4])
        raise GradsError(f"{folder} has files of more than one data set ({names}): keep those of one")
    total = totals.pop()
    # Most count from 0, some from 1.
    first = 0 if 0 in numbers or total not in numbers else 1
    missing = [number for number in range(first, first + total) if number not in numbers]
    width = len(shards[0]["number"])
    _check_there(folder, [f"{number:0{width}}-of-{shards[0]['total']}" for number in missing], total)


def _check_there(folder: Path, missing: Collection[str], total: int) -> None:
    if missing:
        named = ", ".join(list(missing)[:4]) + (", ..." if len(missing) > 4 else "")
        raise GradsError(f"{folder} lacks {len(missing)} of its {total} files ({named}): fetch or copy them again")


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Return a key by which names sort with numbers in them by value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
