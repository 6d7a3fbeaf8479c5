"""The results of `benchmarks.statistics` as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import met, pipe_table
from benchmarks.statistics_cases import CASES

LEAST_COVERED, WIDEST, MOST_FALSE = 0.93, 1.2, 0.07


def holds(cell: Mapping[str, Any]) -> bool:
    """Return whether intervals hold the truth and verdicts are right as often as they should, whatever their width."""
    return cell["covered"] >= LEAST_COVERED and max(cell["false_6"], cell["false_40"]) <= MOST_FALSE


def markdown(results: Mapping[str, Any]) -> str:
    """Return the page of the results."""
    parts = [_head(results)]
    for name, case in CASES.items():
        if cells := [one for one in results["cells"] if one["case"] == name]:
            parts.append(f"## {case.title}\n\n{_grid(cells)}")
    parts += [make(results[name]) for name, make in _PARTS.items() if name in results]
    return "\n\n".join(parts) + "\n"


def _head(results: Mapping[str, Any]) -> str:
    machine, cells = results["environment"]["machine"], results["cells"]
    wide = sum(one["width"] > WIDEST for one in cells)
    failed = [one for one in cells if not holds(one)]
    return (
        "# Do intervals and verdicts hold?\n\n"
        f"{results['date']}, commit {results['environment']['git']}, {machine['processor']}, one thread. What is "
        "simulated: [README](../README.md#statistics); how it is computed: [statistics](../../docs/statistics.md).\n\n"
        "In each cell no arm differs from the baseline that all claims share. `ratio` is the variance of an arm's "
        "seeds over that of its mean over items with one seed; `held` how often the 95 % interval holds the truth (at "
        f"least {LEAST_COVERED}); `width` that of the interval over one that knows all variances (at most {WIDEST}); "
        f"`false` the share of studies with a false verdict among 6 and among 40 claims (at most {MOST_FALSE}). What "
        "fails is bold.\n\n"
        f"Of {len(cells)} cells, {len(cells) - len(failed)} hold, and {wide} are wider than asked: with few seeds that "
        "differ much, no interval can be both right and narrow, for seeds alone have t(0.975, seeds - 1) in place of "
        "1.96: 4.30 with three, 2.78 with five, 2.26 with ten."
    )


def _grid(cells: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            str(one["seeds"]),
            f"{one['ratio']:g}",
            _shown(one["covered"], one["covered"] >= LEAST_COVERED),
            _shown(one["width"], one["width"] <= WIDEST, 2),
            _shown(one["false_6"], one["false_6"] <= MOST_FALSE),
            _shown(one["false_40"], one["false_40"] <= MOST_FALSE),
            f"{one['studies']:,}",
            met(holds(one)),
        )
        for one in cells
    ]
    return pipe_table(("seeds", "ratio", "held", "width", "false of 6", "of 40", "studies", "held and false"), rows)


def _shown(value: float, good: bool, decimals: int = 3) -> str:
    text = f"{value:.{decimals}f}"
    return text if good else f"**{text}**"


def _rare(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (
            str(one["items"]),
            f"{100 * one['change']:g}",
            str(one["seeds"]),
            "all seeds" if one["alike"] else "each by itself",
            _shown(one["covered"], one["covered"] >= LEAST_COVERED),
            f"{100 * one['half']:.1f}",
            f"{one['studies']:,}",
        )
        for one in rows
    ]
    header = ("items", "true change, points", "seeds", "an item changes with", "held", "half the width", "studies")
    return f"## Rare changes of right and wrong answers, all to the better\n\n{pipe_table(header, lines)}"


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (
            str(one["claims"]),
            str(one["seeds"]),
            f"{one['ratio']:g}",
            *(_shown(one[name], one[name] <= MOST_FALSE) for name in ("pooled", "domains", "any")),
            f"{one['studies']:,}",
        )
        for one in rows
    ]
    header = ("claims", "seeds", "ratio", "false on pooled rows", "on domains", "on any", "studies")
    return (
        "## Families of which a part is true\n\nThree domains; a third of the claims holds on the first domain alone, "
        f"a third are true nulls, a third differ by just their margin.\n\n{pipe_table(header, lines)}"
    )


def _ratios(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (str(one["items"]), one["scale"], f"{one['too_low']:.3f}", f"{one['too_high']:.3f}", f"{one['studies']:,}")
        for one in rows
    ]
    header = ("items", "scale", "interval too low", "too high", "studies")
    return "## Ratios of two corpus BLEUs, one seed\n\nEach side should be missed 0.025 of the time.\n\n" + pipe_table(
        header, lines
    )


_PARTS = {"rare": _rare, "verdicts": _verdicts, "ratios": _ratios}
