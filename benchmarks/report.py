"""The results as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.machine import processor_line

MEBIBYTE = 2**20
# Peers whose seconds every row is divided by, and the columns' heads.
RATIOS = {"plain": "/ plain", "one-by-one-projected": "/ batch-1", "bergson": "/ bergson"}


def markdown(results: Mapping[str, Any]) -> str:
    """Return the page of a benchmark's results."""
    parts = [_head(results)]
    for table in results["tables"]:
        parts += [_times(table), _bars(table)]
    parts += [_series(series) for series in results["series"]]
    if results["memory"]:
        parts.append(_flatness(results["memory"]))
    return "\n\n".join(parts) + "\n"


def _head(results: Mapping[str, Any]) -> str:
    settings, environment = results["settings"], results["environment"]
    libraries = ", ".join(f"{name} {version}" for name, version in environment["libraries"].items())
    peers = results["bergson"]
    lines = [
        "# The probe against its peers",
        f"{results['date']}, commit {environment['git']}, {processor_line(environment)}, {settings['threads']} "
        f"threads, load average {results['load_average']} before; Python {environment['machine']['python']}, "
        f"{libraries}.",
        f"Model {results['model']} in bf16; batches of at most {settings['token_budget']} tokens; projection "
        f"{settings['side']} x {settings['side']} a module; medians of {results['repeats']} interleaved repeats. What "
        "each row is: [README](../README.md).",
    ]
    if peers:
        lines.append(
            "bergson's environment: " + ", ".join(f"{name} {version}" for name, version in peers.items()) + "."
        )
    if results["left_out"]:
        lines.append(f"Left out: {'; '.join(results['left_out'])}.")
    return "\n\n".join(lines)


def _times(table: Mapping[str, Any]) -> str:
    header = (
        "",
        "s",
        "records/s",
        "tokens/s",
        "/ plain",
        "/ batch-1",
        "/ bergson",
        "peak MiB",
        "above load",
        "compile s",
    )
    rows = []
    for row in table["rows"].values():
        ratios = [_number(row["ratios"].get(peer)) for peer in RATIOS]
        rows.append((
            row["title"], f"{row['seconds']:.2f}", f"{row['records_per_second']:.2f}",
            f"{row['tokens_per_second']:.0f}", *ratios, f"{row['peak_bytes'] / MEBIBYTE:.0f}",
            f"{row['above_bytes'] / MEBIBYTE:.0f}", _compilation(row),
        ))  # fmt: skip
    title = f"## {table['label']}: {table['records']} records, {table['tokens']} tokens"
    notes = (
        "Ratios are of median seconds, so less than 1 is faster. `compile s`: with an empty cache / from the cache, "
        "beyond a median run."
    )
    return "\n\n".join([title, pipe_table(header, rows), notes])


def _bars(table: Mapping[str, Any]) -> str:
    titles = {name: row["title"] for name, row in table["rows"].items()}
    rows = [
        (titles[bar["ours"]], titles[bar["peer"]], _number(bar["most"]), _number(bar["found"]), met(bar["met"]))
        for bar in table["bars"]
    ]
    rows += [
        (f"{titles[one['name']]}: peak memory", titles[one["peer"]], "1.10",
         f"{one['whole']:.2f} ({one['above']:.2f} above load)", met(one["met"]))
        for one in table["memory"]
    ]  # fmt: skip
    if not rows:
        return "No bar applies: its contestants were not run."
    return pipe_table(("ours", "against", "at most", "found", "bar"), rows)


def _series(series: Mapping[str, Any]) -> str:
    names = list(series["points"])
    header = (series["label"], "tokens", *(f"{name}, s (tokens/s)" for name in names))
    rows = []
    for parallel in zip(*series["points"].values(), strict=True):
        cells = [f"{point['seconds']:.2f} ({point['tokens'] / point['seconds']:.0f})" for point in parallel]
        rows.append((str(parallel[0]["size"]), str(parallel[0]["tokens"]), *cells))
    exponents = [f"{series['slopes'][name]:.2f}, {met(series['linear'][name])}" for name in names]
    rows.append(("exponent of tokens, linear", "", *exponents))
    return "\n\n".join([f"## Time against {series['label']}", pipe_table(header, rows)])


def _flatness(found: Sequence[Mapping[str, Any]]) -> str:
    counts = [f"{peak['records']} records" for peak in found[0]["peaks"]]
    rows = []
    for one in found:
        cells = [
            f"{peak['peak'] / MEBIBYTE:.0f} ({(peak['peak'] - peak['loaded']) / MEBIBYTE:.0f})" for peak in one["peaks"]
        ]
        rows.append((one["name"], *cells, f"{one['bytes_per_record']:.0f}", met(one["flat"])))
    header = ("", *(f"{count}, MiB (above load)" for count in counts), "bytes a record", "flat")
    return "\n\n".join(["## Peak memory against the number of records (tiny model)", pipe_table(header, rows)])


def pipe_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    align = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, align, *rows))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def met(value: bool) -> str:
    """Return how a bar is said to be met."""
    return "met" if value else "**not met**"


def _compilation(row: Mapping[str, Any]) -> str:
    if "compile_from_cache" not in row:
        return ""
    cold = "not taken" if row["compile_cold"] is None else f"{row['compile_cold']:.0f}"
    return f"{cold} / {row['compile_from_cache']:.0f}"
