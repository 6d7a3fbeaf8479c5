"""`python -m benchmarks.select`: selection methods on synthetic signals, each in a process of its own."""

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import measured_on
from benchmarks.select_cases import GROUPS, QUICK, RATIO, Comparison, Group, comparisons, groups
from benchmarks.select_losses import kernel_density_errors, losses
from benchmarks.select_report import markdown
from benchmarks.select_worker import Case
from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import write_json, write_text
from grads.runtime.progress import say

SCRATCH = Path("results/bench-select")
RESULTS = Path("benchmarks/results")
PARTS = ("scale", "losses", "density")
ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and write `select.md` and `select.json`, again after each method."""
    parser = _parser()
    if parser.parse_args(arguments).quick:
        parser.set_defaults(out=SCRATCH / "quick")
    options = parser.parse_args(arguments)
    try:
        results = _results(options)
    except GradsError as error:
        say(f"error: {error}")
        raise SystemExit(2) from None
    say(markdown(results))


def _results(options: argparse.Namespace) -> dict[str, Any]:
    sizes = QUICK if options.quick else GROUPS
    found = groups()
    known = [name for names in found.values() for name in names]
    for name in options.only:
        if name not in known:
            raise GradsError(f"there is no method '{name}' to measure: {nearest(name, known)}")
    wanted = {group: [name for name in names if name in (options.only or known)] for group, names in found.items()}
    results = _heading(options)
    if "scale" in options.parts:
        for group, names in wanted.items():
            for name in names:
                results["scale"].append(scale(name, group, sizes[group], options.threads))
                _write(options.out, results)
    if "losses" in options.parts:
        for one in comparisons(options.quick):
            if one.method in (options.only or known):
                results["losses"].append(_loss(one, options))
                _write(options.out, results)
    if "density" in options.parts:
        results["density"] = kernel_density_errors(*((6_000, 1_000) if options.quick else (50_000, 10_000)))
    _write(options.out, results)
    return results


def scale(name: str, group: str, sizes: Group, threads: int) -> dict[str, Any]:
    """Return a method's runs over growing numbers of records, and whether the last meets the group's bars."""
    runs = [{"count": count} | run(Case(name, count, sizes.dimensions, RATIO), threads) for count in sizes.counts]
    last = runs[-1]
    met = None
    if sizes.seconds is not None:
        met = last["seconds"] <= sizes.seconds and (sizes.peak is None or last["peak"] <= sizes.peak)
    return {"method": name, "group": group, "runs": runs, "exponent": growth(runs), "met": met}


def growth(runs: Sequence[Mapping[str, float]]) -> float:
    """Return the exponent b of seconds ~ N^b between the last two runs."""
    before, last = runs[-2:]
    return math.log(last["seconds"] / before["seconds"]) / math.log(last["count"] / before["count"])


def run(case: Case, threads: int) -> dict[str, Any]:
    """Run one case in a process of its own and return what it measured.

    Raises:
        GradsError: the process failed; what it said is above.
    """
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-m", "benchmarks.select_worker", case.to_json()]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | limits, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise GradsError(f"{case.method} with {case.count} records ended with status {done.returncode}: see above")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(f"{case.method} {dict(case.parameters)}: {case.count} records, {found['seconds']:.2f} s")
    return found


def _loss(one: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds and choices of an approximate form next to the exact one."""
    tables, seconds = [], []
    options.scratch.mkdir(parents=True, exist_ok=True)
    for form, parameters in (("approximate", one.approximate), ("exact", one.exact)):
        out = options.scratch.resolve() / f"{one.method}-{form}.parquet"
        case = Case(one.method, one.count, one.dimensions, RATIO, dict(parameters), str(out))
        seconds.append(run(case, options.threads)["seconds"])
        tables.append(pd.read_parquet(out))
    kept = [set(table["id"][table["kept"]]) for table in tables]
    scores = [table.set_index("id")["score"].sort_index() for table in tables]
    return {
        "method": one.method, "approximate": dict(one.approximate), "exact": dict(one.exact), "count": one.count,
        "dimensions": one.dimensions, "seconds": seconds, "overlap": len(kept[0] & kept[1]) / len(kept[1]),
        "rank_correlation": float(np.corrcoef(*(score.rank() for score in scores))[0, 1]),
        "objective": one.objective, "objectives": losses(one, tables),
    }  # fmt: skip


def _write(out: Path, results: Mapping[str, Any]) -> None:
    write_json(out / "select.json", results)
    write_text(out / "select.md", markdown(results))


def _heading(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": measured_on(),
        "load_average": round(os.getloadavg()[0], 2),
        "threads": options.threads,
        "quick": options.quick,
        "scale": [],
        "losses": [],
        "density": [],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.select", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="methods to measure (default: all)")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="parts to run (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="threads of a method (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few hundred records, to see that it runs")
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help="working folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
