"""The results of `benchmarks.select` as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.machine import processor_line
from benchmarks.report import MEBIBYTE, met, pipe_table
from benchmarks.select_cases import GIBIBYTE, GROUPS, QUICK, RATIO, Group

OBJECTIVES = {"coverage": "mean distance to the nearest chosen", "matching": "sine of the angle to the target"}


def markdown(results: Mapping[str, Any]) -> str:
    """Return the page of a benchmark's results."""
    sizes = QUICK if results["quick"] else GROUPS
    parts = [_head(results)]
    for name, group in sizes.items():
        rows = [row for row in results["scale"] if row["group"] == name]
        if rows:
            parts.append(_scale(group, rows))
    if results["losses"]:
        parts.append(_losses(results["losses"]))
    if results["density"]:
        parts.append(_density(results["density"]))
    return "\n\n".join(parts) + "\n"


def _head(results: Mapping[str, Any]) -> str:
    environment = results["environment"]
    libraries = ", ".join(f"{name} {version}" for name, version in environment["libraries"].items())
    return (
        "# Selection at scale\n\n"
        f"{results['date']}, commit {environment['git']}, {processor_line(environment)}, {results['threads']} threads, "
        f"load average {results['load_average']} before; Python {environment['machine']['python']}, {libraries}.\n\n"
        f"Synthetic signals, {float(RATIO):.0%} kept, each run a process of its own: the whole selection stage, from "
        "signal stores to the written table. What is generated and how: [README](../README.md)."
    )


def _scale(group: Group, rows: Sequence[Mapping[str, Any]]) -> str:
    dimensions = f" x {group.dimensions}" if group.dimensions else ""
    bars = [f"{group.seconds:g} s"] if group.seconds is not None else []
    bars += [f"{group.peak / GIBIBYTE:g} GiB"] if group.peak is not None else []
    bar = f"Bar at {group.counts[-1]:,}: {', '.join(bars)}." if bars else "No bar."
    header = ("", *(f"{count:,}, s" for count in group.counts), "exponent of N", "peak MiB", "bar")
    lines = [
        (
            f"`{row['method']}`",
            *(f"{one['seconds']:.2f}" for one in row["runs"]),
            f"{row['exponent']:.2f}",
            f"{row['runs'][-1]['peak'] / MEBIBYTE:.0f}",
            "" if row["met"] is None else met(row["met"]),
        )
        for row in rows
    ]
    return "\n\n".join([f"## {group.title}: N{dimensions}", bar, pipe_table(header, lines)])


def _losses(rows: Sequence[Mapping[str, Any]]) -> str:
    header = ("", "approximate", "exact", "N", "s", "exact, s", "overlap", "rank correlation", "objective", "found",
              "exact", "ratio")  # fmt: skip
    lines = []
    for row in rows:
        found = [f"{value:.4f}" for value in row["objectives"]] or ["", ""]
        ratio = f"{row['objectives'][0] / row['objectives'][1]:.3f}" if row["objectives"] else ""
        lines.append((
            f"`{row['method']}`", _parameters(row["approximate"]), _parameters(row["exact"]),
            f"{row['count']:,} x {row['dimensions']}" if row["dimensions"] else f"{row['count']:,}",
            *(f"{seconds:.2f}" for seconds in row["seconds"]), f"{row['overlap']:.3f}",
            f"{row['rank_correlation']:.4f}", OBJECTIVES.get(row["objective"], ""), *found, ratio,
        ))  # fmt: skip
    note = (
        "Overlap: the share of the exact choice that is in the approximate one, too. Rank correlation: of the scores "
        "of all records. Objectives are better the smaller they are."
    )
    return "\n\n".join(["## What approximate forms lose", pipe_table(header, lines), note])


def _parameters(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {str(value).lower()}" for key, value in parameters.items())


def _density(rows: Sequence[Mapping[str, Any]]) -> str:
    header = ("", "N", "grid, s", "exact, s", "largest error / peak", "99 % of relative errors below", "overlap")
    lines = [
        (
            row["name"],
            f"{row['count']:,}",
            *(f"{seconds:.3f}" for seconds in row["seconds"]),
            f"{row['of_peak']:.1e}",
            f"{row['relative']:.1e}",
            f"{row['overlap']:.4f}",
        )
        for row in rows
    ]
    note = f"Overlap: of the densest {float(RATIO):.0%}."
    return "\n\n".join(["## Densities on a grid against pair by pair", pipe_table(header, lines), note])
