"""What `grads select` writes: the chosen records as they were, all scores, and a manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grads.commands.workbench import Workbench
from grads.data.layouts import rows_by_id
from grads.runtime.files import atomic_path, read_json, write_jsonl
from grads.runtime.manifest import write_manifests
from grads.runtime.progress import say


def write_subset(
    bench: Workbench, method: str, parameters: Mapping[str, Any], ratio: str, out: Path, started: float
) -> None:
    """Select, and write `out`, `<stem>.scores.csv` and `<stem>.manifest.json`.

    The scores have a row for each eligible record, in the order of the data: its number there (from 1), id, score (the
    higher the better), rank (1 is the first chosen) and whether it was kept.

    Raises:
        GradsError: whatever the stages cannot work with.
    """
    selection = bench.selection(method, parameters, ratio)
    meta, rows = read_json(selection.with_suffix(".json")), rows_by_id(bench.data)
    table = pd.read_parquet(selection)
    table.insert(0, "record", [rows[id_][0] for id_ in table["id"]])
    table = table.sort_values("record")
    scores = out.with_suffix(".scores.csv")
    write_jsonl(out, [rows[id_][1] for id_ in table.loc[table["kept"], "id"]])
    with atomic_path(scores) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    settings = bench.described() | {"command": "select", "ratio": ratio, "selection": meta}
    write_manifests([out, scores], [bench.data, bench.model], settings, started)
    counts = bench.counts()
    over_length = counts["read"] - counts["empty"] - counts["duplicate"] - meta["eligible"]
    left_out = f"{counts['empty']} empty, {counts['duplicate']} duplicate, {over_length} too long"
    say(f"kept {meta['actual']} of {meta['eligible']} eligible records ({counts['read']} read, {left_out}): {out}")
    say(f"scores: {scores}")
