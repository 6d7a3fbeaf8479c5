"""Rows of files: JSON lines, JSON, CSV, Parquet and Arrow, told apart by their suffix, as objects with their place."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from grads.config.kinds import Rows
from grads.runtime.errors import GradsError, quoted
from grads.study.data_files import DATA_SUFFIXES, PACKED_SUFFIXES, data_files, format_of

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_CELL = 1 << 30


def read_rows(path: Path | str) -> Rows:
    """Yield (place, object) for each row of a file, or of a folder's files.

    Raises:
        GradsError: the file is not there, or what `data_files` and `parse_rows` raise.
    """
    path = Path(path)
    if not path.exists():
        raise GradsError(
            f"{path} is not there: correct the path in the config, which is relative to the working folder"
        )
    for file in data_files(path) if path.is_dir() else [path]:
        with file.open("rb") as handle:
            yield from parse_rows(handle, str(file), str(file), on_disk=True)


def read_member_rows(archive: Path, member: str) -> Rows:
    """Yield (place, object) for each row of a file inside an archive.

    Raises:
        GradsError: what `open_member` and `parse_rows` raise.
    """
    from grads.data.sources.archives import open_member

    with open_member(archive, member) as handle:
        yield from parse_rows(handle, member, f"{archive}:{member}")


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
                    f"{place}: half of a surrogate pair stands in a text: fix what wrote the file"
                ) from None


def parse_rows(handle: IO[bytes], file: str, name: str, on_disk: bool = False) -> Rows:
    """Yield (place, object) for each row of an open file.

    A JSON file holds one array of objects, a CSV file begins with a line of column names. Any of them may be
    compressed.

    Args:
        handle: the open file.
        file: its name, whose suffix says what it is.
        name: how errors call it.
        on_disk: whether it is a file of its own, in which one can jump at no cost; a member of an archive is unpacked
            again at every jump.

    Raises:
        GradsError: another suffix, or a row cannot be read as an object; names the place.
    """
    suffix = format_of(file)
    if suffix is None:
        raise GradsError(
            f"{name} is none of {', '.join(READERS)}, nor one of them with {', '.join(PACKED)}: convert the data to "
            "one of them"
        )
    _, kind, *packed = suffix.split(".")
    reader = READERS[f".{kind}"]
    if not packed:
        yield from reader(handle if on_disk or reader in STREAMED else io.BytesIO(handle.read()), name)
        return
    try:
        with PACKED[f".{packed[0]}"](handle) as unpacked:
            yield from reader(unpacked if reader in STREAMED else io.BytesIO(unpacked.read()), name)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise GradsError(f"{name}: cannot be unpacked ({_one_line(error)}): fetch or pack the file again") from None


def _gzip(handle: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(gzip.GzipFile(fileobj=handle))


def _zstandard(handle: IO[bytes]) -> IO[bytes]:
    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(handle, "zstd"))


def _json_lines(lines: Iterable[bytes], name: str) -> Rows:
    remedy = "write one object a line"
    for number, line in enumerate(lines, start=1):
        place = f"{name}:{number}"
        if not line.isspace() and (text := _text(line, place, begins=number == 1)).strip():
            yield place, _object(_json(text, place, remedy), place, remedy)


def _json_array(handle: IO[bytes], name: str) -> Rows:
    remedy = "write one array of objects, or name the file .jsonl if it has one object a line"
    # The bytes are gone before the objects are there.
    items = _json(_text(handle.read(), name), name, remedy)
    if not isinstance(items, list):
        raise GradsError(f"{name}: found a JSON {type(items).__name__}: {remedy}")
    for number, item in enumerate(items, start=1):
        yield f"{name}, item {number}", _object(item, f"{name}, item {number}", "write one array of objects")


def _text(content: bytes, place: str, begins: bool = True) -> str:
    """Return bytes as a text; one that a file begins with is without its byte order mark."""
    if b"\0" in content:
        raise GradsError(f"{place}: this is not UTF-8 (it has zero bytes, as UTF-16 has): convert the file to UTF-8")
    try:
        return content.decode("utf-8-sig" if begins else "utf-8")
    except UnicodeDecodeError:
        raise GradsError(f"{place}: this is not UTF-8: convert the file to UTF-8") from None


def _json(text: str, place: str, remedy: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except _TwiceError as error:
        raise GradsError(f"{place}: the key {quoted(error.args[0])} is there twice: remove one") from None
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
                    raise GradsError(f"{place}: this row has not {len(columns)} cells: fix its commas and quotes")
                yield place, dict(row)
        except UnicodeDecodeError:
            raise GradsError(f"{name}: this is not UTF-8: convert the file to UTF-8") from None
        except csv.Error as error:
            raise GradsError(f"{name}:{reader.line_num}: not CSV ({error}): fix its commas and quotes") from None


def _parquet(handle: IO[bytes], name: str) -> Rows:
    import pyarrow.parquet as pq

    with _arrow_errors(name, "Parquet"):
        batches = pq.ParquetFile(handle).iter_batches(batch_size=1024)
        yield from _rows_of(batches, name)


def _arrow(handle: IO[bytes], name: str) -> Rows:
    """Read an Arrow file in either of its forms: a stream, as the datasets library writes it, or with an index."""
    import pyarrow as pa

    with _arrow_errors(name, "Arrow"):
        indexed = handle.read(len(ARROW_FILE)) == ARROW_FILE
        handle.seek(0)
        if indexed:
            file = pa.ipc.open_file(handle)
            batches: Iterable[pa.RecordBatch] = map(file.get_batch, range(file.num_record_batches))
        else:
            batches = pa.ipc.open_stream(handle)
        yield from _rows_of(batches, name)


def _rows_of(batches: "Iterable[pa.RecordBatch]", name: str) -> Rows:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield f"{name}, row {number}", row


@contextmanager
def _arrow_errors(name: str, kind: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise GradsError(f"{name}: not readable as {kind} ({_one_line(error)}): write the file again") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


ARROW_FILE = b"ARROW1"
Reader = Callable[[IO[bytes], str], Rows]
READERS: dict[str, Reader] = dict(zip(DATA_SUFFIXES, (_json_lines, _json_array, _csv, _parquet, _arrow), strict=True))
# Readers that never jump.
STREAMED = (_json_lines, _json_array, _csv)
PACKED: dict[str, Callable[[IO[bytes]], IO[bytes]]] = dict(
    zip(PACKED_SUFFIXES, (_gzip, bz2.BZ2File, lzma.LZMAFile, _zstandard), strict=True)
)
