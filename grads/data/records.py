"""Records: what fine-tuning data is made of."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import atomic_path


@dataclass(frozen=True, slots=True)
class Record:
    """One instruction, its optional input, and the answer to learn.

    `id` is a hash of the content, so that it is the same wherever and whenever the record is read. `group` names what
    must not be parted between training and test (a source document, a synset); empty when there is no such thing.
    """

    id: str
    instruction: str
    input: str
    output: str
    source: str = ""
    group: str = ""


COLUMNS = tuple(field.name for field in fields(Record))
REQUIRED = ("instruction", "output")
TEXTS = COLUMNS[1:]


def make_record(instruction: str, input: str, output: str, source: str = "", group: str = "") -> Record:
    """Return a record with its content hash (16 hexadecimal digits of SHA-256) as id."""
    content = "\x1f".join((instruction, input, output))
    return Record(hashlib.sha256(content.encode()).hexdigest()[:16], instruction, input, output, source, group)


def read_jsonl_records(path: Path | str) -> tuple[list[Record], dict[str, int]]:
    """Read records from JSON lines with `instruction` and `output`, and `input`, `source`, `group` where there are any.

    Other keys are left alone, an `id` too: ids are made from the content.

    Returns:
        The records in the order of the file, without those whose instruction or output is blank and without exact
        duplicates of earlier ones; and the counts of what was `read`, `empty` and `duplicate`.

    Raises:
        GradsError: no file, or a line that is not such an object; names file and line.
    """
    counts = Counter(read=0, empty=0, duplicate=0)
    found: dict[str, Record] = {}
    for place, row in json_lines(path):
        counts["read"] += 1
        record = _record(row, place)
        if not record.instruction.strip() or not record.output.strip():
            counts["empty"] += 1
        elif record.id in found:
            counts["duplicate"] += 1
        else:
            found[record.id] = record
    return list(found.values()), dict(counts)


def json_lines(path: Path | str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield (file:line, object) for each line of a JSON-lines file that is not blank.

    Raises:
        GradsError: the file is not there, or a line is not UTF-8 or not a JSON object.
    """
    if not Path(path).is_file():
        raise GradsError(
            f"{path} is not there: correct the path in the config, which is relative to the working folder"
        )
    with Path(path).open("rb") as handle:
        yield from parse_json_lines(handle, str(path))


def parse_json_lines(lines: Iterable[bytes], name: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield (name:line, object) for each of `lines` that is not blank; raises like `json_lines`."""
    for number, line in enumerate(lines, start=1):
        place = f"{name}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            raise GradsError(f"{place}: this line is not UTF-8: convert the file to UTF-8") from None
        except json.JSONDecodeError as error:
            raise GradsError(
                f"{place}: not JSON ({error.msg}, column {error.colno}): write one object a line"
            ) from None
        if not isinstance(row, dict):
            raise GradsError(f"{place}: found a JSON {type(row).__name__}: write one object a line")
        yield place, row


def _record(row: dict[str, Any], place: str) -> Record:
    for key in REQUIRED:
        if key not in row:
            others = [name for name in row if name not in TEXTS]
            hint = f" ({nearest(key, others)})" if others else ""
            raise GradsError(f"{place}: '{key}' is missing{hint}: give each record 'instruction' and 'output'")
    for key in TEXTS:
        if not isinstance(row.get(key, ""), str):
            raise GradsError(f"{place}: '{key}' is a {type(row[key]).__name__}: make it a text in double quotes")
    return make_record(**{key: row.get(key, "") for key in TEXTS})


def write_records(path: Path | str, records: Iterable[Record]) -> None:
    """Write records to Parquet, one column a field in the order of `Record`, atomically."""
    rows = [astuple(record) for record in records]
    columns = {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(COLUMNS)}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def load_records(path: Path | str) -> list[Record]:
    """Read the records that `write_records` wrote, in their order.

    Raises:
        GradsError: no such file, or other columns.
    """
    try:
        table = pq.read_table(path)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else "is not a Parquet file"
        raise GradsError(f"{path} {reason}: prepare the study's data again") from None
    if tuple(table.column_names) != COLUMNS:
        raise GradsError(
            f"{path} has columns {table.column_names}, not {list(COLUMNS)}: prepare the study's data again"
        )
    return [Record(**row) for row in table.to_pylist()]


def rows_by_id(path: Path | str) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return for each record of a data file its number in the file, from 1, and its row with all fields as they are.

    Of equal records the first counts. Raises like `read_jsonl_records`.
    """
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, (place, row) in enumerate(json_lines(path), start=1):
        found.setdefault(_record(row, place).id, (number, row))
    return found
