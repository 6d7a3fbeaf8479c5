"""What the figures share: their style, panels, points with bars, legends, and how a figure becomes files."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from grads.runtime.files import atomic_path
from grads.study.config import Study
from grads.study.ratios import AUTO
from grads.tables.estimates import Run, runs
from grads.tables.samples import Estimate

# Okabe & Ito's colours, told apart under common colour blindness; markers and line styles carry the same information.
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]
_LINES = ["-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1))]
_STYLE: Any = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.06,
    "pdf.fonttype": 42,
    # Titles and labels are the user's: what stands between dollar signs in them is no formula.
    "text.parse_math": False,
    "svg.hashsalt": "grads",
}
REFERENCE: dict[str, dict[str, Any]] = {
    "untuned": {"color": "#777777", "linestyle": ":"},
    "full": {"color": "#333333", "linestyle": (0, (6, 2))},
}


def write_figure(figure: Figure, stem: Path) -> None:
    """Write `<stem>.svg` and `<stem>.pdf`; equal figures give equal bytes."""
    for suffix in ("svg", "pdf"):
        with atomic_path(stem.parent / f"{stem.name}.{suffix}") as temporary:
            save(figure, temporary, suffix)


def save(figure: Figure, target: Path | IO[bytes], form: str) -> None:
    """Write a figure as `svg` or `pdf`; no date is in it, so that equal figures give equal bytes."""
    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    with matplotlib.rc_context(_STYLE):
        figure.savefig(target, format=form, metadata=no_date[form])


@contextmanager
def panels(study: Study, rows: int, columns: int, inches: tuple[float, float]) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yield a figure with the study's label on top, and an array (rows, columns) of axes of so many inches each."""
    width, height = inches
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width * columns, height * rows + 0.9), layout="constrained")
        label = "\n".join(textwrap.wrap(study.label, int(17 * width * columns)))  # at 17 characters an inch
        figure.suptitle(label, x=0.01, ha="left", fontsize=8, style="italic", color="#555555")
        yield figure, figure.subplots(rows, columns, squeeze=False)


@contextmanager
def place_panels(study: Study, inches: tuple[float, float]) -> Iterator[tuple[Figure, np.ndarray, list[Axes]]]:
    """Yield a figure with a titled panel for each of `places`, the array of its rows, and the panels in their order."""
    found = places(study)
    columns = min(3, len(found))
    with panels(study, -(-len(found) // columns), columns, inches) as (figure, axes):
        mine = list(axes.flat)[: len(found)]
        for panel, (model, domain) in zip(mine, found, strict=True):
            panel.set_title(place_title(study, model, domain), loc="left")
        for panel in axes.flat[len(found) :]:
            panel.remove()
        yield figure, axes, mine


def places(study: Study) -> list[tuple[str, str]]:
    """Return every model with every domain."""
    return [(model, domain) for model in study.models for domain in study.domains]


def place_title(study: Study, model: str, domain: str) -> str:
    """Return the domain's title, after the model's where there are several."""
    title = study.domains[domain].title
    return title if len(study.models) == 1 else f"{study.models[model].title}, {title}"


def points(panel: Axes, x: Sequence[float], found: list[Estimate], style: dict[str, Any]) -> None:
    """Draw estimates with their intervals at the places x."""
    bar: dict[str, Any] = {"elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8}
    panel.errorbar(x, [one.value for one in found], yerr=bars(found), **bar, markersize=4.5, linewidth=1.3, **style)


def bars(found: list[Estimate]) -> np.ndarray | None:
    """Return distances to the bounds, shape (2, points), NaN for points without an interval; none where all are."""
    if not any(one.has_interval for one in found):
        return None
    return np.array([[one.value - one.low for one in found], [one.high - one.value for one in found]])


def logarithmic(panel: Axes, values: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic, if all values that are known are positive."""
    known = [value for value in values if not np.isnan(value)]
    if not known or min(known) <= 0:
        return
    panel.set_xscale("log")
    # Over several decades only their powers have room.
    wide = max(known) / min(known) > 50
    panel.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())


def swept(study: Study) -> list[str]:
    """Return the arms that have keep ratios of their own."""
    return [arm for arm in study.arms if any(run.arm == arm and run.ratio not in ("0", "1") for run in runs(study))]


def trained_arms(study: Study) -> list[str]:
    """Return the arms that train."""
    return list(dict.fromkeys(run.arm for run in runs(study) if run.trained))


def runs_of(study: Study, arm: str, order: Callable[[Run], float]) -> list[Run]:
    """Return an arm's runs that train, sorted."""
    return sorted((run for run in runs(study) if run.arm == arm and run.trained), key=order)


def arm_style(study: Study, arm: str) -> dict[str, Any]:
    """Return an arm's colour, marker and line, by its place among the arms of the config."""
    index = list(study.arms).index(arm)
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _LINES[index % len(_LINES)],
    }


def sizes(study: Study) -> dict[str, float]:
    """Return the marker size of each ratio: the more records, the larger; `auto` keeps about two thirds."""
    ratios = sorted({run.ratio for run in runs(study) if run.trained}, key=lambda r: 2 / 3 if r == AUTO else float(r))
    return dict(zip(ratios, np.linspace(4.0, 8.5, len(ratios)).tolist(), strict=True))


def handle(study: Study, arm: str, kind: Literal["line", "point", "stroke"]) -> Line2D:
    """Return an arm's entry of the legend: a line with markers, a marker, or a line without."""
    hidden = {"line": {}, "point": {"linestyle": "none"}, "stroke": {"marker": "none"}}[kind]
    return Line2D([], [], label=arm, markersize=5.5, linewidth=1.4, **(arm_style(study, arm) | hidden))


def size_handles(study: Study) -> list[Line2D]:
    """Return the legend's entries of `sizes`."""
    look: dict[str, Any] = {
        "marker": "o",
        "linestyle": "none",
        "markerfacecolor": "white",
        "markeredgecolor": "#555555",
    }
    return [Line2D([], [], label=f"ratio {ratio}", markersize=size, **look) for ratio, size in sizes(study).items()]


def legend(figure: Figure, handles: list[Any]) -> None:
    """Put a legend below the panels."""
    if handles:
        width = figure.get_size_inches()[0]
        columns = max(1, min(len(handles), int(width / 1.5)))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3)
