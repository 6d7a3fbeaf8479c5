"""What the figures share: their style, panels, points with bars, and how a figure becomes files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from grads.config.ratios import AUTO
from grads.config.study import Study
from grads.report.drawing.fitting import Frame, fit
from grads.report.statistics.estimates import Run, runs
from grads.report.statistics.samples import Estimate
from grads.runtime.files import atomic_path

CONTROLS: dict[str, dict[str, Any]] = {
    "untuned": {"color": "#8a8a8a", "marker": "X", "linestyle": ":"},
    "full": {"color": "#000000", "marker": "s", "linestyle": (0, (6, 2))},
    "random": {"color": "#5c5c5c", "marker": "o", "linestyle": "-."},
}
"""How the arms look that others are compared with, by method: in black and grey, in every figure and every study."""
# Okabe & Ito's colours, told apart under common colour blindness; markers and line styles carry the same information.
# The numbers of colours and markers have no divisor in common, so that many arms differ before a pair comes again.
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_MARKERS = ["^", "D", "v", "P", "*", "<", ">"]
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
    # A power of ten above an axis would stand where its panel's title does.
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-7, 12),
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.06,
    # Texts are measured as they are in the files, not as they are fitted to the pixels of a screen.
    "savefig.format": "svg",
    "figure.dpi": 72,
    "pdf.fonttype": 42,
    # Titles and labels are the user's: what stands between dollar signs in them is no formula.
    "text.parse_math": False,
    "svg.hashsalt": "grads",
}
ROW = 0.165
"""Inches that a run takes in figures with a row for each."""
SMALL = 7.5
"""Font size of the names of runs next to their rows."""


@dataclass
class Print:
    """A figure for paper, of a given width.

    Attributes:
        width: of the whole figure, in inches.
        scale: what the widths of its panels are multiplied by.
        panels: how wide its panels are together; known once it is drawn.
    """

    width: float
    scale: float = 1.0
    panels: float = 0.0

    def columns(self, widths: Sequence[float]) -> int:
        """Return how many of panels of these widths stand next to each other."""
        room = self.width - _BESIDE
        fitting = [count for count in range(1, len(widths) + 1) if sum(widths[:count]) + _BESIDE * count <= room]
        return max([1, *fitting])


_BESIDE = 0.5
"""Inches that the names of an axis and of its ticks take, about; those on the left of all take as much more."""
_PRINT: ContextVar[Print | None] = ContextVar("print", default=None)
_DRAWINGS = 4
"""Drawings at most until a figure for paper has its width; two or three are usual."""


def draw_print(draw: Callable[[], Figure], width: float) -> Figure:
    """Return a figure that is `width` inches wide, with letters of the usual size.

    Panels for which a row has no room stand below each other, and all are as wide as what is left by their names.

    Args:
        draw: draws it; it is called until the width is right.
        width: of the column or page of a paper.
    """
    scale = 1.0
    for _ in range(_DRAWINGS):
        asked = Print(width, scale)
        token = _PRINT.set(asked)
        try:
            figure = draw()
        finally:
            _PRINT.reset(token)
        drawn = figure.get_size_inches()[0]
        if not asked.panels or abs(drawn - width) < 0.01 * width:
            break
        scale *= max(0.2, (width - (drawn - asked.panels)) / asked.panels)
    figure.set_size_inches(width, figure.get_size_inches()[1])
    return figure


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
def panels(
    study: Study, heights: Sequence[float], widths: Sequence[float], handles: Sequence[Artist] = ()
) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yield a figure, and an array (rows, columns) of its axes; then fit its texts, with the study's label on top.

    Args:
        study: the study.
        heights: of the rows of axes, in inches, without titles and tick labels, which come on top.
        widths: of the columns.
        handles: entries of the legend below.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(layout="constrained")
        asked = _PRINT.get()
        columns = len(widths) if asked is None else asked.columns(widths)
        scale = 1.0 if asked is None else asked.scale
        # On paper a row may have no room for all of its panels, and goes on in the next line.
        lines = -(-len(widths) // columns)
        shown_widths = [scale * width for width in widths[:columns]]
        shown_heights = [height for height in heights for _ in range(lines)]
        axes = figure.subplots(
            len(shown_heights), columns, squeeze=False, width_ratios=shown_widths, height_ratios=shown_heights
        )
        slots = axes.reshape(len(heights), lines * columns)
        for panel in slots[:, len(widths) :].flat:
            panel.remove()
        yield figure, slots[:, : len(widths)]
        if lines > 1:
            for panel in axes[:, 0]:
                panel.tick_params(axis="y", labelleft=True)
        fit(figure, axes, Frame(study.label, shown_widths, shown_heights, handles))
        if asked is not None:
            asked.panels = sum(shown_widths)


@contextmanager
def place_panels(
    study: Study, inches: tuple[float, float], handles: Sequence[Artist] = ()
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure with a titled panel for each of `places`, and the panels in their order."""
    width, height = inches
    found = places(study)
    columns = min(3, len(found))
    with panels(study, [height] * -(-len(found) // columns), [width] * columns, handles) as (figure, axes):
        mine = list(axes.flat)[: len(found)]
        for panel, (model, domain) in zip(mine, found, strict=True):
            panel.set_title(place_title(study, model, domain), loc="left")
        for panel in axes.flat[len(found) :]:
            panel.remove()
        yield figure, mine


def places(study: Study) -> list[tuple[str, str]]:
    """Return every model with every domain."""
    return [(model, domain) for model in study.models for domain in study.domains]


def place_title(study: Study, model: str, domain: str) -> str:
    """Return the domain's title, after the model's where there are several."""
    title = study.domains[domain].title
    return title if len(study.models) == 1 else f"{study.models[model].title}, {title}"


def points(panel: Axes, x: Sequence[float], found: list[Estimate], style: dict[str, Any]) -> None:
    """Draw estimates with their intervals at the places x."""
    bar: dict[str, Any] = {"elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8, "markersize": 4.5, "linestyle": "none"}
    look = {"color": style["color"], "marker": style["marker"]}
    panel.errorbar(x, [one.value for one in found], yerr=bars(found), **bar, **look)


def mark(panel: Axes, x: float, y: float, style: dict[str, Any], size: float) -> None:
    """Draw the marker of a run: smaller ones over larger ones, all with a white rim, so that none hides another."""
    panel.plot(
        x, y, color=style["color"], marker=style["marker"], markersize=size,
        markeredgecolor="white", markeredgewidth=0.5, zorder=3 - size / 100,
    )  # fmt: skip


def bars(found: list[Estimate]) -> np.ndarray | None:
    """Return distances to the bounds, shape (2, points), NaN for points without an interval; none where all are."""
    if not any(one.has_interval for one in found):
        return None
    return np.array([[one.value - one.low for one in found], [one.high - one.value for one in found]])


def reference_line(panel: Axes, value: float, method: str, vertical: bool = False) -> None:
    """Draw a line through the whole panel at the value of a control, in its look."""
    look = {"color": CONTROLS[method]["color"], "linestyle": CONTROLS[method]["linestyle"]}
    draw = panel.axvline if vertical else panel.axhline
    draw(value, linewidth=1, zorder=1, **look)


def logarithmic(panel: Axes, values: Sequence[float], with_zero: bool = False) -> None:
    """Make the horizontal axis logarithmic, if all values that are known are positive.

    Args:
        panel: whose axis.
        values: what is drawn along it.
        with_zero: whether the axis reaches to 0, to which it is linear from the least of the values on.
    """
    known = [value for value in values if not np.isnan(value)]
    if not known or min(known) <= 0:
        return
    # Over several decades only their powers have room.
    wide = max(known) / min(known) > 50
    locator = LogLocator(subs=(1,) if wide else (1, 2, 5))
    if with_zero:
        least = min(known)
        most = max(known)
        panel.set_xscale("symlog", linthresh=least, linscale=0.4)
        panel.set_xticks([0, *(tick for tick in locator.tick_values(least, most) if least <= tick <= 2 * most)])
        panel.set_xlim(-0.3 * least, 1.4 * most)
    else:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())


def trained_arms(study: Study) -> list[str]:
    """Return the arms that train."""
    return list(dict.fromkeys(run.arm for run in runs(study) if run.trained))


def trained_runs(study: Study) -> list[Run]:
    """Return the runs that train, in the order of the config."""
    return [run for run in runs(study) if run.trained]


def runs_of(study: Study, arm: str, order: Callable[[Run], float]) -> list[Run]:
    """Return an arm's runs that train, sorted."""
    return sorted((run for run in runs(study) if run.arm == arm and run.trained), key=order)


def arm_style(study: Study, arm: str) -> dict[str, Any]:
    """Return an arm's colour, marker and line: that of `CONTROLS` for the first arm of such a method, else its own."""
    controls: dict[str, str] = {}
    for name, one in study.arms.items():
        if one.method in CONTROLS and one.method not in controls.values():
            controls[name] = one.method
    if arm in controls:
        return CONTROLS[controls[arm]]
    index = [name for name in study.arms if name not in controls].index(arm)
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _LINES[index % len(_LINES)],
    }


def sizes(study: Study) -> dict[str, float]:
    """Return the marker size of each ratio: the more records, the larger; `auto` keeps about two thirds."""
    ratios = sorted({run.ratio for run in runs(study) if run.trained}, key=lambda r: 2 / 3 if r == AUTO else float(r))
    return dict(zip(ratios, np.linspace(4.5, 9.5, len(ratios)).tolist(), strict=True))


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


def run_rows(panel: Axes, shown: Sequence[Run]) -> None:
    """Give a panel a row for each run, from the top, with the run's name."""
    panel.set_yticks(range(len(shown)), [run.title for run in shown])
    panel.tick_params(axis="y", labelsize=SMALL, length=0)
    panel.set_ylim(len(shown) - 0.4, -0.6)
