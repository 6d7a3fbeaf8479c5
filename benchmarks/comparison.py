"""The main tables: all contestants over the same examples, interleaved, with times, memory and bars."""

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.bars import MEMORY, median_seconds, outcomes, ratio
from benchmarks.catalogue import COMPILED, Entry
from benchmarks.client import Run, Worker, cache_folder, interleave
from benchmarks.examples import Item, tokens_of, write_items
from benchmarks.protocol import Settings
from benchmarks.report import RATIOS
from grads.runtime.progress import say


@dataclass(frozen=True)
class Field:
    """The contestants of a benchmark run, and how to start one."""

    entries: Mapping[str, Entry]
    settings: Settings
    pythons: Mapping[str, Path]
    scratch: Path
    repeats: int

    def worker(self, name: str, settings: Settings | None = None) -> Worker:
        """Start the process of one contestant; leave its `with` block to end it."""
        settings = Settings(**asdict(settings or self.settings) | {"name": name})
        entry = self.entries[name]
        return Worker(entry, settings, self.pythons[entry.module], self.scratch)


def cold_compilation(field: Field, items: Sequence[Item]) -> dict[str, float]:
    """Return the seconds of the first run of each compiled contestant with an empty compiler cache."""
    path = write_items(items, field.scratch / "cold.jsonl")
    seconds = {}
    for name, entry in field.entries.items():
        if entry.compiled:
            shutil.rmtree(cache_folder(field.scratch, name), ignore_errors=True)
            with field.worker(name) as worker:
                worker.prepare(path)
                seconds[name] = worker.run().seconds
            say(f"cold compilation, {name}: {seconds[name]:.1f} s with the run itself")
    return seconds


def compare(field: Field, label: str, items: Sequence[Item], cold: Mapping[str, float]) -> dict[str, Any]:
    """Return the results of all contestants over some examples, for the JSON and the table.

    Each is warmed up by one run that is not counted, in which the compiled ones read their cache. Those seconds, less
    a median run's, are what compilation took.
    """
    path = write_items(items, field.scratch / f"{slug(label)}.jsonl")
    loaded, first, workers = {}, {}, {}
    with ExitStack() as stack:
        for name in field.entries:
            # One after the other, so that none is warmed up while another loads.
            workers[name] = stack.enter_context(field.worker(name))
            loaded[name] = workers[name].prepare(path)
            first[name] = workers[name].run().seconds
            say(f"{label}: warm-up, {name}: {first[name]:.2f} s")
        runs = interleave(workers, field.repeats, label)
    rows = {name: _row(runs, name, len(items), tokens_of(items), loaded[name]) for name in field.entries}
    for name, row in rows.items():
        row["title"] = field.entries[name].title
        if field.entries[name].compiled:
            row["compile_from_cache"] = max(0.0, first[name] - row["seconds"])
            row["compile_cold"] = max(0.0, cold[name] - row["seconds"]) if name in cold else None
    bars = [asdict(one.bar) | {"found": one.found, "met": one.met} for one in outcomes(runs)]
    return {
        "label": label,
        "records": len(items),
        "tokens": tokens_of(items),
        "rows": rows,
        "bars": bars,
        "memory": _memory(rows),
    }


def slug(label: str) -> str:
    """Return a label as a file's name."""
    return re.sub(r"\W+", "-", label)


def _row(runs: Mapping[str, Sequence[Run]], name: str, records: int, tokens: int, loaded: int) -> dict[str, Any]:
    seconds, peak = median_seconds(runs[name]), max(run.peak for run in runs[name])
    return {
        "seconds": seconds,
        "all_seconds": [run.seconds for run in runs[name]],
        "all_processor_seconds": [run.processor_seconds for run in runs[name]],
        "records_per_second": records / seconds,
        "tokens_per_second": tokens / seconds,
        "ratios": {peer: value for peer in RATIOS if (value := ratio(runs, name, peer)) is not None},
        "loaded_bytes": loaded,
        "peak_bytes": peak,
        "above_bytes": peak - loaded,
    }


def _memory(rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return our contestants' peaks over plain training's, eager or compiled alike, with whether the bar is met."""
    found = []
    for name, row in rows.items():
        peer = "plain" + (COMPILED if name.endswith(COMPILED) else "")
        if name.removesuffix(COMPILED) not in ours.VARIANTS or peer not in rows:
            continue
        whole = row["peak_bytes"] / rows[peer]["peak_bytes"]
        above = row["above_bytes"] / max(1, rows[peer]["above_bytes"])
        met = whole <= MEMORY and above <= MEMORY
        found.append({"name": name, "peer": peer, "whole": whole, "above": above, "met": met})
    return found
