"""What `grads select` writes: the chosen records as they were, all scores, and a manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grads.api.export import Rows, data_rows, write_export
from grads.api.forecast import forecast
from grads.api.select import Amount, check_count, make_selection, read_made
from grads.api.workbench import Workbench
from grads.data.records.layouts import rows_by_id
from grads.data.records.lines import json_line
from grads.data.selections import read_counts, read_selection
from grads.data.spreadsheet import csv_text
from grads.runtime.files import write_text
from grads.runtime.manifest import write_manifests
from grads.runtime.progress import say
from grads.selection.job import Select
from grads.selection.registry import find_method


@dataclass(frozen=True)
class Wanted:
    """A subset that is asked for.

    Attributes:
        out: JSON lines to write.
        amount: how much of the records it holds.
        export: folder to write it to for the datasets library, too.
    """

    out: Path
    amount: Amount
    export: Path | None


def write_subsets(
    bench: Workbench,
    method: str,
    parameters: Mapping[str, Any],
    subsets: Sequence[Wanted],
    license: str,
    started: float,
) -> None:
    """Select as many records as each subset asks for, and write it, `<stem>.scores.csv` and `<stem>.manifest.json`.

    The scores have a row for each eligible record, in the order of the data: its number there (from 1), id, what the
    data call it (`own_id`, where they give ids), score (the higher the better), rank (1 is the first chosen), whether
    it was kept, and its weight in training. What is to do is said beforehand.

    Raises:
        GradsError: a record cannot be written as JSON, or the stages cannot work with a file.
    """
    # Checked before the work, so that a row that cannot be written does not fail the command after it.
    asked = bench.request
    how = (asked.fields, asked.metadata, asked.leave)
    lines = rows_by_id(asked.data, *how, lambda number, row: json_line(row, f"{asked.data}, record {number}"))
    rows = data_rows(asked.data, *how) if any(subset.export for subset in subsets) else None
    made_from = bench.inputs(model=bench.read_model(method, parameters, subsets[0].amount.checked))
    planned = [bench.graph.select(method, parameters, subset.amount.checked) for subset in subsets]
    say(f"select: {forecast(bench, planned)}")
    for subset in subsets:
        check_count(subset.amount, bench.eligible)
    for subset in subsets:
        say(f"select: {find_method(method).title} at {subset.amount}")
        job = make_selection(bench, method, parameters, subset.amount)
        written = _write(bench, job, lines, subset.out)
        if subset.export is not None and rows is not None:
            written += _export(bench, job, rows, subset.export, license)
        settings = bench.described() | {"command": "select", "ratio": job.ratio}
        write_manifests(written, made_from, settings | {"selection": read_counts(job.selection)}, started)


def _export(bench: Workbench, job: Select, rows: Rows, folder: Path, license: str) -> list[Path]:
    picked = read_made(bench, job)
    files = write_export(folder, picked.table, rows, picked.origin, license)
    say(f"exported: {folder}, which datasets.load_dataset reads")
    return files


def _write(
    bench: Workbench,
    job: Select,
    lines: Mapping[str, tuple[int, str]],
    out: Path,
) -> list[Path]:
    """Write a subset and its scores, say what was kept, and return the files."""
    meta = read_counts(job.selection)
    table = read_selection(job.selection)
    table.insert(0, "record", [lines[id_][0] for id_ in table["id"]])
    table = table.sort_values("record")
    scores = out.with_suffix(".scores.csv")
    write_text(out, "".join(lines[id_][1] for id_ in table.loc[table["kept"], "id"]))
    write_text(scores, csv_text(table))
    counts = bench.counts
    beyond = counts["beyond_limit"]
    over_length = counts["read"] - counts["empty"] - counts["duplicate"] - beyond - meta["eligible"]
    left_out = f"{counts['empty']} empty, {counts['duplicate']} duplicate, {over_length} too long"
    left_out += f", {beyond} beyond the limit" if beyond else ""
    short = f" instead of {meta['requested']}" * bool(meta["shortfall"])
    kept = f"kept {meta['actual']}{short} of {meta['eligible']} eligible records"
    say(f"{kept} ({counts['read']} read, {left_out}): {out}")
    say(f"scores: {scores}")
    return [out, scores]
