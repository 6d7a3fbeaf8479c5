"""Time against the number and the length of examples, and memory against their number."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bars import median_seconds
from benchmarks.client import interleave
from benchmarks.comparison import Field, slug
from benchmarks.examples import Item, synthetic, tokens_of, write_items
from grads.config.sources import TinySource
from grads.models.prepare import prepare_model
from grads.runtime.progress import say

# Contestants whose time is followed, and those whose memory is.
FOLLOWED = ("plain", "signals", "signals-compiled", "kronecker", "kronecker-compiled", "all", "all-compiled")
REMEMBERED = ("signals", "kronecker", "all")
COUNTS = (64, 128, 256, 512, 1024)
LENGTHS = (64, 128, 256, 512, 1024)
OF_EACH_LENGTH = 16
MANY = (1_000, 100_000)
SHORT = 12
# Exponents of tokens that pass for linear.
LINEAR = (0.85, 1.15)


def against_count(field: Field, items: Sequence[Item], counts: Sequence[int]) -> dict[str, Any]:
    """Return times over the first 64, 128 and so on of the examples."""
    return _series(field, "number of records", counts, lambda count: items[:count])


def against_length(field: Field, vocabulary: int, lengths: Sequence[int], count: int) -> dict[str, Any]:
    """Return times over as many synthetic examples of each length."""
    return _series(field, "tokens of a record", lengths, lambda length: synthetic(count, length, vocabulary))


def _series(
    field: Field, label: str, sizes: Sequence[int], examples: Callable[[int], Sequence[Item]]
) -> dict[str, Any]:
    files = {size: examples(size) for size in sizes}
    points: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(field.worker(name)) for name in FOLLOWED if name in field.entries}
        for size, items in files.items():
            path = write_items(items, field.scratch / f"{slug(label)}-{size}.jsonl")
            for worker in workers.values():
                worker.prepare(path)
                worker.run()
            runs = interleave(workers, field.repeats, f"{label} {size}")
            for name, found in runs.items():
                seconds, tokens = median_seconds(found), tokens_of(items)
                point = {"size": size, "records": len(items), "tokens": tokens, "seconds": seconds}
                points.setdefault(name, []).append(point | {"all_seconds": [run.seconds for run in found]})
    slopes = {name: slope(found) for name, found in points.items()}
    linear = {name: LINEAR[0] <= value <= LINEAR[1] for name, value in slopes.items()}
    return {"label": label, "points": points, "slopes": slopes, "linear": linear}


def slope(points: Sequence[Mapping[str, float]]) -> float:
    """Return the exponent b of seconds ~ tokens^b, by least squares of the logarithms."""
    x, y = ([math.log(point[key]) for point in points] for key in ("tokens", "seconds"))
    middle = sum(x) / len(x)
    return sum((one - middle) * other for one, other in zip(x, y, strict=True)) / sum((one - middle) ** 2 for one in x)


def memory_against_count(field: Field, many: Sequence[int]) -> list[dict[str, Any]]:
    """Return peaks over few and many short examples, on a tiny model, each in a process of its own.

    What the examples themselves take is loaded before, and counts in neither. Flat means that the peak above it grows
    by no more than a tenth of the smaller run's whole peak.
    """
    settings, found = replace(field.settings, model=str(tiny_model(field.scratch).resolve())), []
    for name in (name for name in REMEMBERED if name in field.entries):
        peaks = []
        for count in many:
            path = _short(count, field.scratch / f"short-{count}.jsonl")
            with field.worker(name, settings) as worker:
                loaded = worker.prepare(path)
                peaks.append({"records": count, "loaded": loaded, "peak": worker.run().peak})
            say(f"memory, {name}: {count} records done")
        growth = (peaks[-1]["peak"] - peaks[-1]["loaded"]) - (peaks[0]["peak"] - peaks[0]["loaded"])
        per_record = growth / (many[-1] - many[0])
        flat = growth <= 0.1 * peaks[0]["peak"]
        found.append({"name": name, "peaks": peaks, "bytes_per_record": per_record, "flat": flat})
    return found


def tiny_model(scratch: Path) -> Path:
    """Return a folder with a tiny random model and its tokenizer of one token a byte."""
    model = scratch / "tiny"
    if not model.is_dir():
        prepare_model(TinySource(kind="tiny", seed=0), None, model)
    return model


def _short(count: int, path: Path) -> Path:
    return path if path.is_file() else write_items(synthetic(count, SHORT, vocabulary=256), path)
