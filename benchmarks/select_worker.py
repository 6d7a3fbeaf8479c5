"""One selection in a process of its own: `python -m benchmarks.select_worker CASE`, a JSON object (see `Case`).

Prints wall and processor seconds, the peak of resident memory in bytes, and the notes of the selection.
"""

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.protocol import PEAK, memory, release, reset_peak
from grads.selection.registry import find_method, parse_parameters

SEED = 7


@dataclass(frozen=True)
class Case:
    """A selection to measure; `out` keeps its table."""

    method: str
    count: int
    dimensions: int
    ratio: str
    parameters: dict[str, Any] = field(default_factory=dict)
    out: str | None = None

    def to_json(self) -> str:
        """Return the case as one line."""
        return json.dumps(asdict(self))


def measure(case: Case) -> dict[str, Any]:
    """Make the signals, which counts for nothing, and run the selection stage on them, from stores to the table."""
    from benchmarks.synthetic import synthetic_stores, synthetic_texts
    from grads.selection.run import select_records

    method = find_method(case.method)
    given = dict(method.example) | case.parameters
    needs = method.needs(parse_parameters(method, given))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores = synthetic_stores(needs, case.count, case.dimensions, folder)
        texts = synthetic_texts(needs, case.count, folder)
        references = {}
        for arm in needs.arms:
            references[arm] = folder / f"{arm}.parquet"
            select_records("random", {}, case.ratio, SEED + 1, {"tokens": stores["tokens"]}, {}, references[arm])
        out = Path(case.out) if case.out else folder / "selection.parquet"
        release()
        reset_peak()
        processor, started = time.process_time(), time.perf_counter()
        meta = select_records(case.method, given, case.ratio, SEED, stores, references, out, texts)
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        found = {"seconds": seconds, "processor_seconds": processor, "peak": memory(PEAK)}
    return found | {"kept": meta["actual"], "notes": meta["notes"]}


if __name__ == "__main__":
    from grads.runtime.libraries import settle_libraries
    from grads.runtime.process import die_with_parent

    die_with_parent()
    settle_libraries()
    print(json.dumps(measure(Case(**json.loads(sys.argv[1])))))
