"""`subset`: somebody's own selection, from a file.

The file (JSON lines, JSON, CSV or Parquet) names records by their `id`, as our own selections and scores do, or holds
whole records, which are found by their content. Its order is the order of choice, or where every row has a number
`rank`, as in our selections and scores, that of the ranks. A column `kept` (true or false, 1 or 0) says which rows
count. The ratio `auto` keeps all that the file has; at another ratio its first records are kept, and fewer than asked
if it has fewer.

A record that is not in the pool (of another split or domain, too long for the model, unknown) is an error, or with
`unknown: skip` is passed over and counted: so one file can serve all domains of a study.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters


class Subset(Parameters):
    """Parameters of `subset`."""

    file: str = Field(min_length=1, description="The file, relative to the working folder.")
    fields: dict[str, str] = Field({}, description="Our names of a record's fields to the file's, where they differ.")
    leave: list[str] = Field([], description="Columns and keys of turns of the file that are left out, as in a domain.")
    unknown: Literal["refuse", "skip"] = Field("refuse", description="What becomes of records that the pool has not.")


def needs(parameters: Subset) -> Needs:
    """Return the need of the file."""
    return Needs(files=(parameters.file,))


def select(inputs: Inputs, parameters: Subset) -> Choice:
    """Choose the file's records in its order; others score 0 and are not chosen."""
    import numpy as np

    places, skipped = _places(inputs, parameters)
    score = np.zeros(len(inputs.pool))
    score[places] = 1.0 - np.arange(len(places)) / len(places)
    return Choice(score, np.array(places[: inputs.count]), {"in_file": len(places), "skipped": skipped})


def automatic_count(parameters: Subset) -> Callable[[Inputs], int]:
    """Return what counts for `ratio: auto`: the records of the file."""
    return lambda inputs: len(_places(inputs, parameters)[0])


def _places(inputs: Inputs, parameters: Subset) -> tuple[list[int], int]:
    """Return where the file's records stand in the pool, each once, and how many of the file's are not in it.

    Raises:
        GradsError: the file cannot be read, a row names no record, or one that the pool has not, or says of `kept`
            neither yes nor no.
    """
    ids = _ids(parameters)
    place = {id_: position for position, id_ in enumerate(inputs.pool["id"])}
    unknown = [id_ for id_ in ids if id_ not in place]
    if unknown and parameters.unknown == "refuse":
        raise GradsError(
            f"{parameters.file}: {len(unknown)} of {len(ids)} records are not in the pool of {len(place)} (first: "
            f"{ids[unknown[0]]}): remove them, or set the parameter unknown to skip"
        )
    if len(unknown) == len(ids):
        raise GradsError(f"{parameters.file}: none of its {len(ids)} records is in the pool: give a file of this data")
    return [place[id_] for id_ in ids if id_ in place], len(unknown)


def _ids(parameters: Subset) -> dict[str, str]:
    """Return the ids that the file names, each with the place where it first stands, in the order of choice."""
    from grads.data.records.rows import read_rows

    rows = list(read_rows(parameters.file))
    ranks = [rank for _place, row in rows if (rank := _rank(row)) is not None]
    if len(ranks) == len(rows):
        rows = [rows[index] for index in sorted(range(len(rows)), key=ranks.__getitem__)]
    found: dict[str, str] = {}
    for place, row in rows:
        if _kept(row, place):
            found.setdefault(_id(row, place, parameters), place)
    return found


def _rank(row: Mapping[str, Any]) -> float | None:
    """Return a row's rank, which in a CSV file is a text; None where there is no such number."""
    try:
        rank = float(row["rank"])
    except (KeyError, TypeError, ValueError):
        return None
    return rank if math.isfinite(rank) else None


def _kept(row: Mapping[str, Any], place: str) -> bool:
    """Return whether a row counts, as all do that say nothing about it."""
    said = str(row.get("kept", True)).lower()
    if said not in ("true", "false", "1", "0"):
        raise GradsError(f"{place}: 'kept' is {row['kept']!r}: write true or false, or 1 or 0")
    return said in ("true", "1")


def _id(row: Mapping[str, Any], place: str, parameters: Subset) -> str:
    """Return the id of the record that a row holds, or where it holds none, the one that it names."""
    from grads.data.records.layouts import holds_record, to_record

    if isinstance(row.get("id"), str) and not holds_record(row, parameters.fields):
        return row["id"]
    return to_record(row, place, parameters.fields, leave=parameters.leave).id


METHOD = Method(
    name="subset",
    title="Given subset",
    source="control: a selection made elsewhere",
    select=select,
    parameters=Subset,
    needs=needs,
    automatic_count=automatic_count,
    may_fall_short=True,
    example={"file": "subset.jsonl"},
)
