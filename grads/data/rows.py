"""Rows of files: JSON lines, JSON, CSV and Parquet, told apart by their suffix, read as objects with their place."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import IO, Any

from grads.runtime.errors import GradsError, quoted
from grads.study.sources import DATA_SUFFIXES

Rows = Iterator[tuple[str, dict[str, Any]]]  # where it stands, as file:line, and the object
LONGEST_CELL = 1 << 30


def read_rows(path: Path | str) -> Rows:
    """Yield (place, object) for each row of a JSON-lines, JSON, CSV or Parquet file.

    Raises:
        GradsError: the file is not there, or what `parse_rows` raises.
    """
    if not Path(path).is_file():
        raise GradsError(
            f"{path} is not there: correct the path in the config, which is relative to the working folder"
        )
    with Path(path).open("rb") as handle:
        yield from parse_rows(handle, str(path), str(path))


def check_unicode(place: str, texts: Iterable[object]) -> None:
    """Refuse texts that could not be written as UTF-8; what is no text is passed over.

    Raises:
        GradsError: half of a surrogate pair stands in one of them.
    """
    for text in texts:
        if isinstance(text, str) and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise GradsError(
                    f"{place}: half of a surrogate pair stands in a text: mend what wrote the file"
                ) from None


def parse_rows(handle: IO[bytes], file: str, name: str) -> Rows:
    """Yield (place, object) for each row of an open file.

    A JSON file holds one array of objects, a CSV file begins with a line of column names.

    Args:
        handle: the open file.
        file: its name, whose suffix says what it is.
        name: how errors call it.

    Raises:
        GradsError: another suffix, or a row cannot be read as an object; names the place.
    """
    reader = READERS.get(PurePath(file).suffix.lower())
    if reader is None:
        raise GradsError(f"{name} is none of {', '.join(READERS)}: convert the data to one of them")
    yield from reader(handle, name)


def _json_lines(lines: Iterable[bytes], name: str) -> Rows:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{name}:{number}"
            yield place, _object(_json(line, place, "write one object a line"), place, "write one object a line")


def _json_array(handle: IO[bytes], name: str) -> Rows:
    remedy = "write one array of objects, or name the file .jsonl if it has one object a line"
    items = _json(handle.read(), name, remedy)
    if not isinstance(items, list):
        raise GradsError(f"{name}: found a JSON {type(items).__name__}: {remedy}")
    for number, item in enumerate(items, start=1):
        yield f"{name}, item {number}", _object(item, f"{name}, item {number}", "write one array of objects")


def _json(content: bytes, place: str, remedy: str) -> Any:
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_each_once)
    except _TwiceError as error:
        raise GradsError(f"{place}: the key {quoted(error.args[0])} is there twice: remove one") from None
    except UnicodeDecodeError:
        raise GradsError(f"{place}: this is not UTF-8: convert the file to UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        raise GradsError(f"{place}: not JSON ({error.msg}, {where}): {remedy}") from None
    except (ValueError, RecursionError) as error:  # A number of thousands of digits, or brackets without end.
        raise GradsError(f"{place}: not readable as JSON ({error}): {remedy}") from None


class _TwiceError(Exception):
    """A key of an object is there twice: JSON's readers silently keep the last."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _value in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return found


def _object(value: Any, place: str, remedy: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GradsError(f"{place}: found a JSON {type(value).__name__}: {remedy}")
    return value


def _csv(handle: IO[bytes], name: str) -> Rows:
    csv.field_size_limit(LONGEST_CELL)  # The default would refuse a long answer.
    # utf-8-sig, because spreadsheets put a byte order mark before the first column's name.
    with io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, strict=True)
        try:
            columns = reader.fieldnames or []
            if len(set(columns)) < len(columns):
                raise GradsError(f"{name}:1: a column name stands twice: give every column a name of its own")
            for row in reader:
                place = f"{name}:{reader.line_num}"
                if None in row or None in row.values():
                    raise GradsError(f"{place}: this row has not {len(columns)} cells: mend its commas and quotes")
                yield place, dict(row)
        except UnicodeDecodeError:
            raise GradsError(f"{name}: this is not UTF-8: convert the file to UTF-8") from None
        except csv.Error as error:
            raise GradsError(f"{name}:{reader.line_num}: not CSV ({error}): mend its commas and quotes") from None


def _parquet(handle: IO[bytes], name: str) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # From memory: a member of a compressed archive would be unpacked anew at every jump.
        table = pq.ParquetFile(pa.BufferReader(handle.read()))
        number = 0
        for batch in table.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"{name}, row {number}", row
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise GradsError(f"{name}: not readable as Parquet ({reason}): write the file again") from None


READERS: dict[str, Callable[[IO[bytes], str], Rows]] = dict(
    zip(DATA_SUFFIXES, (_json_lines, _json_array, _csv, _parquet), strict=True)
)
