"""What training a cell costs next to how others train it: `python -m benchmarks.train`, or `make bench-train`.

Every contestant is timed as a user meets it: two processes of one thread side by side, one a core, from their start to
their end, with imports, loading and compilation from a warm cache. All train on the same token ids in the same order.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.client import ROOT
from benchmarks.environment import own_python
from benchmarks.examples import glossary, medquad
from benchmarks.machine import measured_on, processor_line
from benchmarks.report import MEBIBYTE, met, pipe_table
from benchmarks.train_worker import Job
from grads.config.models import Format
from grads.config.training import Training
from grads.data.records.formatting import Formatter
from grads.data.records.record import Record, write_records
from grads.models.load import load_tokenizer
from grads.runtime.files import write_json, write_jsonl
from grads.runtime.progress import say
from grads.study.reading import read_study
from grads.training.visits import training_order

BEFORE = "3f297e4"
TITLES = {
    "fast": "grads",
    "before": f"grads before (commit {BEFORE})",
    "reference": "grads, `engine: reference`",
    "trainer": "transformers Trainer + PEFT",
    "trl": "TRL SFTTrainer",
}
# How many times as many tokens a second as each peer: bars of the first and of the second source.
BARS = {"before": (2.2, 1.6), "trainer": (2.4, 1.8), "trl": (2.8, 2.1)}
SOURCES = ("glossary", "MedQuAD")


@dataclass(frozen=True)
class Timed:
    """Seconds of jobs side by side; their processor seconds together; the largest's resident memory, in bytes."""

    seconds: float
    processor: float
    peak: int


def records_of(source: str, options: argparse.Namespace, scratch: Path) -> list[Record]:
    """Return the records of a source that have at most 512 tokens, the first ones by a fixed seed."""
    import random

    study = read_study(ROOT / "config" / "demo-large.yaml")
    found = glossary(study, scratch) if source == "glossary" else medquad(options.medquad)
    formatter = Formatter(load_tokenizer(options.model), Format())
    count = options.records[SOURCES.index(source)]
    kept: list[Record] = []
    for record in random.Random(0).sample(found, len(found)):
        if len(kept) < count and formatter.tokenize([record], 512, "drop").examples:
            kept.append(record)
    return kept


def write_job(records: Sequence[Record], model: Path, scratch: Path) -> tuple[dict[str, str], int]:
    """Write what the contestants read; return the files, and how many tokens a job trains on."""
    scratch.mkdir(parents=True, exist_ok=True)
    write_records(scratch / "records.parquet", records)
    examples = Formatter(load_tokenizer(model), Format()).tokenize(list(records), 512, "drop").examples
    by_id = {example.id: example for example in examples}
    order = training_order(list(by_id), Training(epochs=1), seed=0)
    ordered = [by_id[one] for one in order]
    rows = [{"input_ids": one.input_ids, "prompt_tokens": one.prompt_tokens} for one in ordered]
    write_jsonl(scratch / "examples.jsonl", rows)
    files = {"records": str(scratch / "records.parquet"), "examples": str(scratch / "examples.jsonl")}
    return files, sum(len(one.input_ids) for one in ordered)


class Contestants:
    """Starts jobs of contestants.

    Args:
        model: the prepared model.
        scratch: a folder for what they write.
        precision: of all.
        side_by_side: jobs of one thread that run at once.
    """

    def __init__(self, model: Path, scratch: Path, precision: Literal["float32", "bf16"], side_by_side: int) -> None:
        self.model = model
        self.scratch = scratch
        self.precision = precision
        self.side_by_side = side_by_side
        self.before = scratch / "before"

    def prepare(self, names: Sequence[str]) -> None:
        """Make environments and the checkout of the commit before."""
        self.python = {name: Path(sys.executable) for name in names}
        if "trl" in names:
            self.python["trl"] = own_python("trl")
        if "before" in names and not self.before.is_dir():
            subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)
            subprocess.run(["git", "worktree", "add", "--detach", str(self.before), BEFORE], cwd=ROOT, check=True)

    def run(self, name: str, files: Mapping[str, str]) -> Timed:
        """Run a contestant's jobs side by side.

        Raises:
            RuntimeError: one failed; the message names its log.
        """
        started = time.perf_counter()
        jobs = [self._start(name, files, number) for number in range(self.side_by_side)]
        peaks = []
        processor = 0.0
        for process, log in jobs:
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise RuntimeError(f"{name} ended with status {status}: see {log}")
            peaks.append(usage.ru_maxrss * 1024)
            processor += usage.ru_utime + usage.ru_stime
        return Timed(time.perf_counter() - started, processor, max(peaks))

    def _start(self, name: str, files: Mapping[str, str], number: int) -> tuple[subprocess.Popen[bytes], Path]:
        out = self.scratch / f"{name}-{number}"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        job = Job(
            name=name,
            model=str(self.model.resolve()),
            records=files["records"],
            examples=files["examples"],
            out=str(out),
            threads=1,
            precision=self.precision,
        )
        code = self.before if name == "before" else ROOT
        environment = {
            "PYTHONPATH": os.pathsep.join([str(code), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "TORCHINDUCTOR_CACHE_DIR": str(self.scratch / "compiled"),
        }
        log = self.scratch / f"{name}-{number}.log"
        worker = ROOT / "benchmarks" / "train_worker.py"
        with log.open("wb") as output:
            # -P: the modules next to the worker have names of the standard library's.
            command = [str(self.python[name]), "-P", str(worker), json.dumps(asdict(job))]
            process = subprocess.Popen(
                command, cwd=out, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT
            )
        return process, log


def measure(
    contestants: Contestants, names: Sequence[str], files: Mapping[str, str], repeats: int
) -> dict[str, list[Timed]]:
    """Return the timings of all contestants, interleaved; each repeat begins with another."""
    found: dict[str, list[Timed]] = {name: [] for name in names}
    for repeat in range(repeats):
        start = repeat % len(names)
        for name in [*names[start:], *names[:start]]:
            found[name].append(contestants.run(name, files))
            say(f"repeat {repeat + 1}/{repeats}, {TITLES[name]}: {found[name][-1].seconds:.1f} s")
    return found


def table(source: str, tokens: int, timings: Mapping[str, Sequence[Timed]]) -> dict[str, Any]:
    """Return a source's results."""
    seconds = {name: median(one.seconds for one in runs) for name, runs in timings.items()}
    processor = {name: median(one.processor for one in runs) for name, runs in timings.items()}
    rows = {
        name: {
            "seconds": [one.seconds for one in runs],
            "tokens_per_second": tokens / seconds[name],
            "times": seconds[name] / seconds["fast"],
            "processor": processor[name],
            "processor_times": processor[name] / processor["fast"],
            "peak": max(one.peak for one in runs),
        }
        for name, runs in timings.items()
    }
    bars = {name: bar[SOURCES.index(source)] for name, bar in BARS.items() if name in rows}
    return {"source": source, "tokens": tokens, "rows": rows, "bars": bars}


def page(results: Mapping[str, Any]) -> str:
    """Return the page of the results."""
    environment = results["environment"]
    libraries = ", ".join(f"{name} {version}" for name, version in environment["libraries"].items())
    parts = [
        "# Training a cell against how others train it",
        f"{results['date']}, commit {environment['git']}, {processor_line(environment)}, load average "
        f"{results['load_average']} before; Python {environment['machine']['python']}, {libraries}.",
        f"Model {results['model']}, {results['precision']}; LoRA of rank 16 on all linear layers, 8 records a step; "
        f"{results['side_by_side']} jobs of one thread side by side, from their start to their end; medians of "
        f"{results['repeats']} interleaved repeats. Processor seconds are of all jobs together, and depend little on "
        "what else the machine does. Tokens are those of the records, without padding. No contestant "
        "compiles anything here, so there is no cold compilation to state.",
    ]
    for one in results["tables"]:
        rows = []
        for name, row in one["rows"].items():
            bar = one["bars"].get(name)
            said = "" if bar is None else f"{bar}: {met(row['times'] >= bar)}"
            seconds = f"{median(row['seconds']):.1f} ({min(row['seconds']):.1f} to {max(row['seconds']):.1f})"
            speed = f"{row['tokens_per_second']:.0f}"
            processor = (f"{row['processor']:.1f}", f"{row['processor_times']:.2f}")
            peak = f"{row['peak'] / MEBIBYTE:.0f}"
            rows.append((TITLES[name], seconds, speed, f"{row['times']:.2f}", said, *processor, peak))
        header = ("", "s (range)", "tokens/s", "time / grads", "bar", "processor s", "/ grads", "peak MiB")
        parts += [
            f"## {one['source']}: {one['records']} records, {one['tokens']} tokens a run",
            pipe_table(header, rows),
        ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure, and write the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=Path("results/demo-large/models/smollm2"), help="a prepared model"
    )
    parser.add_argument("--medquad", type=Path, help="JSON lines of instruction, input, output; left out without it")
    parser.add_argument("--records", type=int, nargs=2, default=(256, 64), help="of the glossary and of MedQuAD")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=list(TITLES), choices=TITLES, help="contestants")
    parser.add_argument("--precision", choices=("float32", "bf16"), help="by default what the processor computes in")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="jobs of one thread side by side")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/train"))
    options = parser.parse_args()
    from grads.models.device import chosen_precision

    precision = options.precision or chosen_precision("auto")
    scratch = Path("results/bench-train").resolve()
    contestants = Contestants(options.model, scratch, precision, options.jobs)
    names = ["fast", *(name for name in options.only if name != "fast")]
    contestants.prepare(names)
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "environment": measured_on(),
        "load_average": round(os.getloadavg()[0], 2),
        "model": options.model.name,
        "precision": precision,
        "side_by_side": options.jobs,
        "repeats": options.repeats,
        "tables": [],
    }
    for source in SOURCES:
        if source == "MedQuAD" and options.medquad is None:
            say("MedQuAD is left out: name its file with --medquad")
            continue
        records = records_of(source, options, scratch)
        files, tokens = write_job(records, options.model, scratch / source)
        found = table(source, options.jobs * tokens, measure(contestants, names, files, options.repeats))
        results["tables"].append(found | {"records": len(records)})
        write_json(options.out.with_suffix(".json"), results)
        options.out.with_suffix(".md").write_text(page(results), encoding="utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
