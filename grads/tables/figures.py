"""Two figures: what a keep ratio buys, and what the gain on the domain costs in drift."""

import dataclasses
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from grads.runtime.files import atomic_path
from grads.study.config import Study
from grads.study.ratios import AUTO
from grads.tables.estimates import Estimates, Quantity, Run, runs, untuned_run
from grads.tables.measures import MEASURES
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
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.06,
    "pdf.fonttype": 42,
    "svg.hashsalt": "grads",
}
_REFERENCE: dict[str, dict[str, Any]] = {
    "untuned": {"color": "#777777", "linestyle": ":"},
    "full": {"color": "#333333", "linestyle": (0, (6, 2))},
}
_GAIN_METRICS = ("meteor", "bleu", "chrf", "response_nll")


def write_figure(figure: Figure, stem: Path) -> None:
    """Write `<stem>.svg` and `<stem>.pdf`; equal figures give equal bytes."""
    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    for suffix, metadata in no_date.items():
        with atomic_path(stem.parent / f"{stem.name}.{suffix}") as temporary, matplotlib.rc_context(_STYLE):
            figure.savefig(temporary, format=suffix, metadata=metadata)


def ratio_figure(study: Study, estimates: Estimates) -> Figure:
    """Return keep ratio against BLEU and METEOR: a row per model and domain, a line per arm."""
    shown = [metric for metric in study.evaluation.metrics if metric in ("bleu", "meteor")]
    metrics = shown or study.evaluation.metrics[:1]
    with _panels(study, len(_places(study)), len(metrics), (3.6, 1.95)) as (figure, axes):
        for row, (model, domain) in zip(axes, _places(study), strict=True):
            for panel, metric in zip(row, metrics, strict=True):
                panel.set_title(f"{_place_title(study, model, domain)}: {MEASURES[metric].title}", loc="left")
                _draw_ratios(panel, study, estimates, model, domain, metric)
        for panel in axes[-1]:
            panel.set_xlabel("keep ratio")
        _legend(figure, [_handle(study, arm, "line") for arm in _swept(study)])
    return figure


def tradeoff_figure(study: Study, estimates: Estimates) -> Figure:
    """Return gain on the domain against drift on general text: a panel per model and domain, a point per arm and ratio.

    Without an untuned arm there is no gain to show: the metric itself stands on the vertical axis.
    """
    metric = next(metric for metric in _GAIN_METRICS if metric in study.evaluation.metrics)
    untuned, places = untuned_run(study), _places(study)
    columns = min(3, len(places))
    with _panels(study, -(-len(places) // columns), columns, (3.1, 2.8)) as (figure, axes):
        for panel, (model, domain) in zip(axes.flat, places, strict=False):
            panel.set_title(_place_title(study, model, domain), loc="left")
            _draw_tradeoff(panel, study, estimates, model, domain, metric)
            panel.set_xlabel("drift: KL(untuned || tuned), nats per token")
        for panel in axes.flat[len(places) :]:
            panel.remove()
        for panel in axes[:, 0]:
            panel.set_ylabel(f"{MEASURES[metric].title} gain over untuned" if untuned else MEASURES[metric].title)
        trained = dict.fromkeys(run.arm for run in runs(study) if run.trained)
        _legend(figure, [_handle(study, arm, "point") for arm in trained] + _size_handles(study))
    return figure


def _draw_ratios(panel: Axes, study: Study, estimates: Estimates, model: str, domain: str, metric: str) -> None:
    swept = _swept(study)
    estimate, share = partial(_domain, estimates, model, domain, metric), partial(estimates.share, model, domain)
    for index, arm in enumerate(swept):
        mine = sorted((run for run in runs(study) if run.arm == arm), key=share)
        # Arms share their ratios: without a small step aside, error bars would hide each other.
        aside = 1.07 ** (index - (len(swept) - 1) / 2)
        _points(panel, [share(run) * aside for run in mine], [estimate(run) for run in mine], _style(study, arm))
    references = [run for run in runs(study) if run.arm not in swept]
    for run in references:
        look = _REFERENCE["full" if run.trained else "untuned"]
        panel.axhline(estimate(run).value, linewidth=1, zorder=1, **look)
        if run.trained:
            _points(panel, [1.0], [estimate(run)], {"color": look["color"], "marker": "o", "linestyle": "none"})
    _ratio_axis(panel, [run.ratio for run in runs(study)], min(share(run) for run in runs(study) if run.trained))
    _name_references(panel, [(run.title, estimate(run).value, run.trained) for run in references])


def _points(panel: Axes, x: list[float], found: list[Estimate], style: dict[str, Any]) -> None:
    bars: dict[str, Any] = {"elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8}
    panel.errorbar(x, [one.value for one in found], yerr=_bars(found), **bars, markersize=4.5, linewidth=1.3, **style)


def _ratio_axis(panel: Axes, ratios: list[str], least: float) -> None:
    """Put a tick at every ratio of the config; the share of `auto` is no round number and has none."""
    ticks = sorted({float(ratio) for ratio in ratios if ratio not in ("0", AUTO)})
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(ticks))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlim(least / 1.5, 1.3)


def _name_references(panel: Axes, lines: list[tuple[str, float, bool]]) -> None:
    """Write the names of horizontal lines beside them, at least a line of text apart."""
    low, high = panel.get_ylim()
    least, previous = 0.09 * (high - low), float("-inf")
    for title, value, trained in sorted(lines, key=lambda line: line[1]):
        previous = max(value, previous + least)
        panel.annotate(
            title, (1, previous), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7.5, color=_REFERENCE["full" if trained else "untuned"]["color"],
        )  # fmt: skip


def _draw_tradeoff(panel: Axes, study: Study, estimates: Estimates, model: str, domain: str, metric: str) -> None:
    untuned, sizes = untuned_run(study), _sizes(study)
    drifts = []
    for arm in study.arms:
        mine = [run for run in runs(study) if run.arm == arm and run.trained]
        mine.sort(key=partial(estimates.share, model, domain))
        x = [estimates.of(model, domain, run, Quantity.general("text", "kl")) for run in mine]
        y = [_gain(estimates, model, domain, metric, run, untuned) for run in mine]
        values, style = ([one.value for one in x], [one.value for one in y]), _style(study, arm)
        panel.errorbar(*values, xerr=_bars(x), yerr=_bars(y), fmt="none", ecolor="#c4c4c4", elinewidth=0.5, zorder=1)
        panel.plot(*values, color=style["color"], linewidth=0.8, linestyle=style["linestyle"], alpha=0.6)
        for run, drift, gain in zip(mine, *values, strict=True):
            panel.plot(drift, gain, color=style["color"], marker=style["marker"], markersize=sizes[run.ratio])
        drifts += values[0]
    if untuned:
        panel.axhline(0, **_REFERENCE["untuned"], linewidth=1, zorder=1)
    if min(drifts) > 0:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_locator(NullLocator())


def _domain(estimates: Estimates, model: str, domain: str, metric: str, run: Run) -> Estimate:
    return estimates.of(model, domain, run, Quantity.domain(metric))


def _gain(estimates: Estimates, model: str, domain: str, metric: str, run: Run, untuned: Run | None) -> Estimate:
    """Return the difference to untuned, so that more is better; without untuned the value itself."""
    if untuned is None:
        return _domain(estimates, model, domain, metric, run)
    one = estimates.difference(model, domain, run, untuned, Quantity.domain(metric))
    if MEASURES[metric].higher_is_better:
        return one
    return dataclasses.replace(one, value=-one.value, low=-one.high, high=-one.low)


def _bars(found: list[Estimate]) -> np.ndarray | None:
    """Return distances to the bounds, shape (2, points); none without intervals."""
    if not all(one.has_interval for one in found):
        return None
    # A percentile interval may lie beside the value, in which case that bar has no length.
    return np.array([[max(0.0, one.value - one.low), max(0.0, one.high - one.value)] for one in found]).T


def _places(study: Study) -> list[tuple[str, str]]:
    return [(model, domain) for model in study.models for domain in study.domains]


def _place_title(study: Study, model: str, domain: str) -> str:
    title = study.domains[domain].title
    return title if len(study.models) == 1 else f"{study.models[model].title}, {title}"


@contextmanager
def _panels(study: Study, rows: int, columns: int, inches: tuple[float, float]) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yield a figure with the study's label on top, and an array (rows, columns) of axes of so many inches each."""
    width, height = inches
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width * columns, height * rows + 0.9), layout="constrained")
        label = "\n".join(textwrap.wrap(study.label, int(17 * width * columns)))  # at 17 characters an inch
        figure.suptitle(label, x=0.01, ha="left", fontsize=8, style="italic", color="#555555")
        yield figure, figure.subplots(rows, columns, squeeze=False)


def _swept(study: Study) -> list[str]:
    """Return the arms that have keep ratios of their own."""
    return [arm for arm in study.arms if any(run.arm == arm and run.ratio not in ("0", "1") for run in runs(study))]


def _style(study: Study, arm: str) -> dict[str, Any]:
    """Return an arm's colour, marker and line, by its place among the arms of the config."""
    index = list(study.arms).index(arm)
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _LINES[index % len(_LINES)],
    }


def _sizes(study: Study) -> dict[str, float]:
    """Return the marker size of each ratio: the more records, the larger; `auto` keeps about two thirds."""
    ratios = sorted({run.ratio for run in runs(study) if run.trained}, key=lambda r: 2 / 3 if r == AUTO else float(r))
    return dict(zip(ratios, np.linspace(4.0, 8.5, len(ratios)).tolist(), strict=True))


def _handle(study: Study, arm: str, kind: Literal["line", "point"]) -> Line2D:
    style = _style(study, arm) | ({"linestyle": "none"} if kind == "point" else {})
    return Line2D([], [], label=arm, markersize=5.5, linewidth=1.4, **style)


def _size_handles(study: Study) -> list[Line2D]:
    look: dict[str, Any] = {
        "marker": "o",
        "linestyle": "none",
        "markerfacecolor": "white",
        "markeredgecolor": "#555555",
    }
    return [Line2D([], [], label=f"ratio {ratio}", markersize=size, **look) for ratio, size in _sizes(study).items()]


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    figure.legend(handles=handles, loc="outside lower center", ncols=min(5, max(1, len(handles))), handlelength=3)
