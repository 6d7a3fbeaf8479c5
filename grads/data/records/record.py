"""Records: what fine-tuning data is made of."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, reading

# Roles of the turn that may open a conversation.
SYSTEM_ROLES = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said before a record's instruction; `loss` is for answers only.

    `role` is system or developer, of a turn that opens the conversation, user or assistant.
    """

    role: str
    content: str
    loss: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One instruction, its optional input, and the answer to learn; in a conversation, what came before them too.

    `id` is a hash of the content, so that it is the same wherever and whenever the record is read. `group` names what
    must not be split between training and test (a source document, a synset); empty when there is no such thing.
    `metadata` is a JSON object of the further fields that methods may read; empty when there are none. `turns` are an
    optional system or developer turn, then pairs of a user's and an assistant's turn; the answer always carries loss,
    earlier ones as their `loss` says. `references` are further right answers, for metrics. `own_id` is what its owner
    calls the record; empty when there is no such thing. `connected` names the records of a study that a split keeps
    together, which a resampling of the test set draws together too; empty where a record is alone, or before the split.
    Records are equal whatever their owners call them, and whatever they are connected with.
    """

    id: str
    instruction: str
    input: str
    output: str
    source: str = ""
    group: str = ""
    metadata: str = ""
    turns: tuple[Turn, ...] = ()
    references: tuple[str, ...] = ()
    own_id: str = field(default="", compare=False)
    connected: str = field(default="", compare=False)

    @property
    def question(self) -> str:
        """What the user asks last: the instruction, and the input below it where there is one."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    @property
    def opening(self) -> str:
        """What the user asks first: the question, or in a conversation that of its first turn."""
        return next((turn.content for turn in self.turns if turn.role == "user"), self.question)


COLUMNS = tuple(part.name for part in fields(Record))
# Columns that hold lists, as JSON.
LISTS = ("turns", "references")


def make_record(
    instruction: str,
    input: str,
    output: str,
    source: str = "",
    group: str = "",
    turns: Iterable[Turn] = (),
    metadata: Mapping[str, float | str | None] | None = None,
    references: Iterable[str] = (),
    own_id: str = "",
) -> Record:
    """Return a record with its content hash (16 hexadecimal digits of SHA-256) as id.

    Which turns carry loss, and which further answers are right, is no content, and neither are metadata and an id of
    the owner's: they change what is learnt from a record, how its answers are judged or what is said of it, and not
    which record it is.
    """
    turns = tuple(turns)
    earlier = [f"{turn.role}\x1e{turn.content}" for turn in turns]
    content = "\x1f".join((instruction, input, output, *earlier))
    id_ = hashlib.sha256(content.encode()).hexdigest()[:16]
    kept = json.dumps(dict(metadata), ensure_ascii=False) if metadata else ""
    return Record(id_, instruction, input, output, source, group, kept, turns, tuple(references), own_id)


def write_records(path: Path | str, records: Iterable[Record]) -> None:
    """Write records to Parquet, a column a field in the order of `Record`, lists as JSON or empty; atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_row(record) for record in records]
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in COLUMNS}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def load_records(path: Path | str) -> list[Record]:
    """Read the records that `write_records` wrote, in their order.

    Raises:
        GradsError: no such file, a damaged one, or other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    remedy = "delete it and prepare the study's data again"
    # A path that is a folder would be read as a data set of many files.
    with reading(path, remedy), Path(path).open("rb") as file:
        try:
            table = pq.read_table(file)
        except pa.ArrowInvalid:
            raise GradsError(f"{path} is not a Parquet file, or damaged: {remedy}") from None
    if tuple(table.column_names) != COLUMNS:
        raise GradsError(
            f"{path} has columns {table.column_names}, not {list(COLUMNS)}: prepare the study's data again"
        )
    with reading(path, remedy):
        return [_record(row) for row in table.to_pylist()]


def own_ids(path: Path | str) -> dict[str, str]:
    """Return by id what their owner calls the records of a file that `write_records` wrote, where he does.

    Raises:
        GradsError: no such file, or other columns.
    """
    return {record.id: record.own_id for record in load_records(path) if record.own_id}


def _row(record: Record) -> dict[str, str]:
    texts = {name: getattr(record, name) for name in COLUMNS if name not in LISTS}
    turns = [asdict(turn) for turn in record.turns]
    return texts | {"turns": _json_text(turns), "references": _json_text(record.references)}


def _json_text(values: Sequence[Any]) -> str:
    return json.dumps(values, ensure_ascii=False) if values else ""


def _record(row: dict[str, str]) -> Record:
    turns, references = (json.loads(row[name]) if row[name] else [] for name in LISTS)
    texts = {name: text for name, text in row.items() if name not in LISTS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"record {row['id']} has no text")
    return Record(**texts, turns=tuple(Turn(**turn) for turn in turns), references=tuple(references))
