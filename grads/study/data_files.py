"""Files of data by their names, and the folders of them: what `save_to_disk` wrote, or shards of one format."""

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from grads.runtime.errors import GradsError

# What files of data end in, by which they are told apart, and what is added where they are packed.
DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".arrow")
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
# What the datasets library writes into a folder: of one split, and above several.
STATE = "state.json"
SPLITS = "dataset_dict.json"
# Files that tell of a data set and hold none of its rows.
DESCRIPTIONS = (STATE, SPLITS, "dataset_info.json", "dataset_infos.json")
SHARD = re.compile(r"(?P<set>.*?)[-_.]?(?P<number>\d+)-of-(?P<total>\d+)(?:-\w+)?")


def format_of(file: str) -> str | None:
    """Return the suffix of a data file in small letters, such as `.jsonl` or `.csv.gz`; None for other files."""
    suffixes = [suffix.lower() for suffix in PurePath(file).suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in PACKED_SUFFIXES else ""
    return suffixes[-1] + packed if suffixes and suffixes[-1] in DATA_SUFFIXES else None


def data_files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's rows, in the order of their numbers.

    Args:
        folder: a folder that `save_to_disk` wrote, or one with files of one format whose names differ by numbers alone.

    Raises:
        GradsError: a shard is missing, or the folder has several splits or data sets, several formats, or no data.
    """
    if (folder / SPLITS).is_file():
        names = sorted(path.name for path in folder.iterdir() if (path / STATE).is_file())
        raise GradsError(
            f"{folder} is a folder with several splits ({', '.join(names)}): name the folder of one, such as "
            f"{folder / (names or ['train'])[0]}"
        )
    if (folder / STATE).is_file():
        return _saved(folder)
    seen = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "_"))]
    formats = {path: form for path in seen if path.name not in DESCRIPTIONS and (form := format_of(path.name))}
    if not formats:
        inner = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        hint = f"name one of its folders ({', '.join(inner[:6])}), if it is that" if inner else "name another"
        raise GradsError(f"{folder} is a folder without data files: {hint}")
    if len(found := set(formats.values())) > 1:
        raise GradsError(
            f"{folder} is a folder with several formats ({', '.join(sorted(found))}): name a file in it, or keep those "
            "of one format"
        )
    files = sorted(formats, key=_in_order)
    _check_one_set(folder, files)
    _check_numbers(folder, files)
    return files


def _saved(folder: Path) -> list[Path]:
    """Return the Arrow files of a data set that `save_to_disk` wrote."""
    try:
        state = json.loads((folder / STATE).read_text("utf-8"))
        names = [str(entry["filename"]) for entry in state["_data_files"]]
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


def _check_one_set(folder: Path, files: Sequence[Path]) -> None:
    """Refuse files whose names differ by more than their numbers: `train` and `test`, say, or two sets of data."""
    if len(sets := sorted({_set_of(path.name) for path in files})) > 1:
        named = ", ".join(sets[:4]) + (", ..." if len(sets) > 4 else "")
        raise GradsError(
            f"{folder} is a folder with several splits or data sets ({named}): name a file in it, or put the shards of "
            "one into a folder of their own, with names that differ by numbers alone"
        )


def _set_of(name: str) -> str:
    """Return what stands in the name of a file but for its number and its suffix."""
    if shard := SHARD.match(name):
        return shard["set"]
    stem = name[: -len(format_of(name) or "")]
    return re.sub(r"[-_.]*\d+", "", stem)


def _check_numbers(folder: Path, files: Sequence[Path]) -> None:
    """Refuse shards `00000-of-00003` that are not all there."""
    shards = [match for path in files if (match := SHARD.match(path.name))]
    if not shards:
        return
    totals = {int(shard["total"]) for shard in shards}
    numbers = [int(shard["number"]) for shard in shards]
    if len(totals) > 1 or len(shards) < len(files) or len(set(numbers)) < len(numbers):
        names = ", ".join(path.name for path in files[:4])
        raise GradsError(f"{folder} is a folder with more than one set of shards ({names}): keep those of one")
    total = totals.pop()
    # Most count from 0, some from 1.
    first = 0 if 0 in numbers or total not in numbers else 1
    missing = [number for number in range(first, first + total) if number not in numbers]
    width = len(shards[0]["number"])
    _check_there(folder, [f"{number:0{width}}-of-{shards[0]['total']}" for number in missing], total)


def _check_there(folder: Path, missing: Collection[str], total: int) -> None:
    if missing:
        named = ", ".join(list(missing)[:4]) + (", ..." if len(missing) > 4 else "")
        raise GradsError(
            f"{folder} is a folder that lacks {len(missing)} of its {total} files ({named}): fetch or copy them again"
        )


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Return a key by which names sort with numbers in them by value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
