"""Do the intervals and verdicts of the tables hold? Simulated studies in which the truth is known, over a grid.

Writes statistics.md and statistics.json after each cell of the grid; cells that are there already are not simulated
again. The estimates are those of `grads.report.statistics`, for many studies at once; a test compares
the two.
"""

import argparse
import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.statistics_cases import (
    BLEU,
    CASES,
    NORMAL,
    RIGHT,
    half_widths,
    misses,
    simulate,
)
from benchmarks.statistics_report import markdown
from benchmarks.statistics_verdicts import false_verdicts, rare_changes, ratios
from grads.runtime.environment import environment
from grads.runtime.files import read_json, write_json, write_text
from grads.runtime.progress import say

RESULTS = Path(__file__).with_name("results")
SEEDS = (3, 4, 5, 6, 8, 10, 12)
RATIOS = (0.0, 0.3, 1.0, 5.0, 20.0)
CLAIMS = (6, 40)
STUDIES = {NORMAL: 10_000, RIGHT: 4_000, BLEU: 400}
"""Studies of a cell; fewer where answers are drawn one by one and not by their sufficient statistics."""


@dataclass(frozen=True)
class Cell:
    """A cell of the grid: what kind of items, how many seeds, and their variance over that of the mean over items."""

    case: str
    seeds: int
    ratio: float
    studies: int


def grid(share: float = 1.0) -> Iterator[Cell]:
    """Yield the cells of the grid, each with a share of its studies."""
    for name, case in CASES.items():
        for seeds in SEEDS:
            for ratio in RATIOS:
                yield Cell(name, seeds, ratio, round(share * STUDIES[case.kind]))


def generator_of(cell: Cell) -> np.random.Generator:
    """Return a cell's own random numbers, whatever other cells are simulated."""
    return np.random.default_rng([list(CASES).index(cell.case), cell.seeds, round(10 * cell.ratio)])


def measure(cell: Cell, generator: np.random.Generator) -> dict[str, Any]:
    """Return how often intervals hold the truth, how wide they are, and how often a family has a false verdict.

    `width` is the mean width over that of an interval which knows all variances.
    """
    case = CASES[cell.case]
    found = simulate(case, cell.studies, cell.seeds, cell.ratio, max(CLAIMS), generator)
    half = half_widths(found, 0.05)
    false = {f"false_{count}": float((misses(found, 0.05 / count)[:, :count]).any(axis=1).mean()) for count in CLAIMS}
    oracle = 1.959964 * found.truth
    return (
        asdict(cell) | {"covered": float(1 - misses(found, 0.05).mean()), "width": float(half.mean() / oracle)} | false
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing of the grid, and write the page."""
    options = _parser().parse_args(arguments)
    path = options.out / "statistics.json"
    results: dict[str, Any] = read_json(path) if path.is_file() else _heading()
    done = {(one["case"], one["seeds"], one["ratio"]) for one in results["cells"]}
    parts: dict[str, Callable[[np.random.Generator], list[dict[str, Any]]]] = {
        "rare": rare_changes,
        "verdicts": false_verdicts,
        "ratios": ratios,
    }
    for name, make in parts.items():
        if name not in results:
            say(f"statistics: {name}")
            results[name] = make(np.random.default_rng(1))
            _write(options.out, results)
    for cell in grid(options.share):
        if (cell.case, cell.seeds, cell.ratio) not in done and (not options.only or cell.case in options.only):
            results["cells"].append(measure(cell, generator_of(cell)))
            _write(options.out, results)
            say(f"statistics: {cell.case}, {cell.seeds} seeds, ratio {cell.ratio:g}")


def _heading() -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "load_average": round(os.getloadavg()[0], 2),
        "cells": [],
    }


def _write(out: Path, results: Mapping[str, Any]) -> None:
    write_json(out / "statistics.json", results)
    write_text(out / "statistics.md", markdown(results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statistics", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of each cell's studies (default: all)")
    parser.add_argument("--only", nargs="+", default=[], choices=list(CASES), help="kinds of items (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
