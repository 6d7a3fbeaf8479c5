"""A selection as a folder that `datasets.load_dataset` reads: the chosen records, every score, and a card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from grads import __version__
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, write_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from grads.data.records.record import Record

SCORES = "scores.parquet"
SUBSET = "subset.parquet"
CARD = "README.md"
UNKNOWN = "unknown"
"""The licence of records of which nobody said it."""


@dataclass(frozen=True)
class Rows:
    """Records as rows that Parquet can hold.

    Attributes:
        ids: of the rows.
        numbers: where each row stands in the data, from 1.
        table: the rows, in the order of the data.
    """

    ids: Sequence[str]
    numbers: Sequence[int]
    table: "pa.Table"

    def kept(self, ids: Sequence[str]) -> "pa.Table":
        """Return the rows of some ids, in the order of the data."""
        wanted = set(ids)
        return self.table.take([place for place, id_ in enumerate(self.ids) if id_ in wanted])


@dataclass(frozen=True)
class Origin:
    """What a card says of how a selection came about.

    Attributes:
        method: name of the method.
        parameters: those that differ from its defaults.
        ratio: the share of the eligible records, as a decimal, or how many.
        model: what the records were measured with.
        source: where the records come from.
        seed: of the draws.
    """

    method: str
    parameters: Mapping[str, Any]
    ratio: str
    model: str
    source: str
    seed: int


def export_files(folder: Path) -> list[Path]:
    """Return the files that an export writes; the manifest next to them is named after the first."""
    return [folder / SCORES, folder / SUBSET, folder / CARD]


def data_rows(data: Path, fields: Mapping[str, str], metadata: Sequence[str] = (), leave: Sequence[str] = ()) -> Rows:
    """Return the records of a file as they are, each once.

    Raises:
        GradsError: a row holds no record, or a field what a column of Parquet cannot.
    """
    from grads.data.records.layouts import rows_by_id

    found = rows_by_id(data, fields, metadata, leave)
    ordered = sorted(found.items(), key=lambda one: one[1][0])
    table = _table([row for _id, (_number, row) in ordered], str(data))
    return Rows([id_ for id_, _ in ordered], [number for _id, (number, _row) in ordered], table)


def record_rows(records: Sequence["Record"], source: str) -> Rows:
    """Return a study's records as rows: what none of them has is no column."""
    rows = [asdict(record) for record in records]
    for row in rows:
        # Which records a split keeps together is of no use without the others.
        del row["connected"]
    used = [name for name in rows[0] if any(row[name] for row in rows)]
    table = _table([{name: row[name] for name in used} for row in rows], source)
    return Rows([record.id for record in records], range(1, len(rows) + 1), table)


def _table(rows: Sequence[Mapping[str, Any]], source: str) -> "pa.Table":
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column(name, [row.get(name) for row in rows], source) for name in names})


def _column(name: str, values: Sequence[Any], source: str) -> "pa.Array":
    """Return a field of all records.

    Raises:
        GradsError: its values are of several types, or of one that Parquet has not.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        column = pa.array(values)
        # What Arrow holds and Parquet does not, such as objects without any key, is found out in writing.
        pq.write_table(pa.table({"": column}), pa.BufferOutputStream())
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        said = str(error).splitlines()[0]
        raise GradsError(
            f"{source}: the field '{name}' cannot be a column of Parquet ({said}): give it values of one type, or "
            "remove it"
        ) from None
    return column


def write_export(
    folder: Path, table: "pd.DataFrame", rows: Rows | None, origin: Origin, license: str = UNKNOWN
) -> list[Path]:
    """Write a selection into a folder and return the files, as `export_files` names them.

    Args:
        folder: is made if it is not there.
        table: of the selection: a row for each eligible record, by rank.
        rows: all records; none where only their scores are known.
        origin: how the selection came about.
        license: of the records, as the Hugging Face hub names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    scores, subset, card = export_files(folder)
    if rows is not None:
        numbers = dict(zip(rows.ids, rows.numbers, strict=True))
        table = table.assign(record=[numbers[id_] for id_ in table["id"]])
        with atomic_path(subset) as temporary:
            pq.write_table(rows.kept(table.loc[table["kept"], "id"].tolist()), temporary)
    with atomic_path(scores) as temporary:
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), temporary)
    write_text(card, _card(table, origin, license, with_records=rows is not None))
    return [scores, subset, card] if rows is not None else [scores, card]


def _card(table: "pd.DataFrame", origin: Origin, license: str, with_records: bool) -> str:
    from grads.selection.registry import find_method

    method = find_method(origin.method)
    kept = int(table["kept"].sum())
    head = {
        "license": license,
        "tags": ["data-selection", "grads"],
        "configs": _configs(with_records),
        "grads": {"version": __version__, **asdict(origin), "kept": kept, "eligible": len(table)},
    }
    header = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)
    parameters = ", ".join(f"{key} = {value}" for key, value in origin.parameters.items()) or "its defaults"
    facts = {
        "method": f"`{origin.method}`: {method.title} ({method.source})",
        "parameters": parameters,
        "kept": f"{kept} of {len(table)} eligible records (asked for: {origin.ratio})",
        "model": origin.model,
        "source of the records": origin.source,
        "seed": str(origin.seed),
        "licence of the records": license,
    }
    lines = [f"| {key} | {value.replace('|', '/')} |" for key, value in facts.items()]
    parts = [f"- `subset`: {SUBSET_TEXT}"] if with_records else []
    return CARD_TEXT.format(
        header=header,
        title=method.title,
        facts="\n".join(lines),
        parts="\n".join([*parts, f"- `scores`: {SCORES_TEXT}"]),
        default="subset" if with_records else "scores",
    )


def _configs(with_records: bool) -> list[dict[str, Any]]:
    """Return what the folder holds, as `load_dataset` reads it from the card."""
    files = {"subset": SUBSET, "scores": SCORES} if with_records else {"scores": SCORES}
    found: list[dict[str, Any]] = [{"config_name": name, "data_files": file} for name, file in files.items()]
    found[0]["default"] = True
    return found


SUBSET_TEXT = "the chosen records with all their fields, in the order of the data."
SCORES_TEXT = (
    "a row for each eligible record, by rank: `id` (a hash of its content), `score` (the higher the better), `rank` (1 "
    "is chosen first), `kept`, `weight` in training; `record`, its number in the data from 1, and `own_id`, what the "
    "data call it, where they are known."
)
CARD_TEXT = """\
---
{header}---

# Records chosen by {title}

| | |
| :-- | :-- |
{facts}

{parts}

```python
from datasets import load_dataset

{default} = load_dataset("path/of/this/folder", split="train")
scores = load_dataset("path/of/this/folder", "scores", split="train")
```

Written by `grads`. The records are their source's: under which licence they may be used it alone can say.
"""


def check_free(folder: Path) -> None:
    """Refuse a folder where files of such names are another's.

    Raises:
        GradsError: a file is there that no earlier export wrote.
    """
    from grads.runtime.manifest import manifest_of

    known = manifest_of(folder / SCORES) if folder.is_dir() else None
    for file in export_files(folder):
        if file.exists() and (known is None or file.name not in known.artefacts):
            raise GradsError(f"folder: {file} is there already, and no selection was saved there: give another folder")
