"""What a keep ratio buys: domain metrics over the share of the records that is kept."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from grads.study.config import Study
from grads.study.ratios import AUTO
from grads.tables.estimates import Estimates, Quantity, Run, runs
from grads.tables.figures.drawing import (
    REFERENCE,
    arm_style,
    handle,
    legend,
    panels,
    place_title,
    places,
    points,
    runs_of,
    swept,
)
from grads.tables.measures import MEASURES
from grads.tables.samples import Estimate

_FAN = 1.25
"""The arms of a ratio stand side by side, from the first to the last within this factor: inside the panel's limits."""


def ratio_figure(study: Study, estimates: Estimates) -> Figure:
    """Return keep ratio against BLEU and METEOR: a row per model and domain, a line and a band per arm."""
    shown = [metric for metric in study.evaluation.metrics if metric in ("bleu", "meteor")]
    metrics = shown or study.evaluation.metrics[:1]
    with panels(study, len(places(study)), len(metrics), (3.6, 1.95)) as (figure, axes):
        for row, (model, domain) in zip(axes, places(study), strict=True):
            for panel, metric in zip(row, metrics, strict=True):
                panel.set_title(f"{place_title(study, model, domain)}: {MEASURES[metric].title}", loc="left")
                _draw(panel, study, estimates, model, domain, metric)
        for panel in axes[-1]:
            panel.set_xlabel("keep ratio")
        legend(figure, [handle(study, arm, "line") for arm in swept(study)])
    return figure


def _draw(panel: Axes, study: Study, estimates: Estimates, model: str, domain: str, metric: str) -> None:
    arms = swept(study)

    def value(run: Run) -> Estimate:
        return estimates.of(model, domain, run, Quantity.domain(metric))

    share = partial(estimates.share, model, domain)
    for index, arm in enumerate(arms):
        mine, style = runs_of(study, arm, share), arm_style(study, arm)
        # Arms share their ratios: without a small step aside, error bars would hide each other.
        aside = min(1.07, _FAN ** (1 / len(arms))) ** (index - (len(arms) - 1) / 2)
        x, found = [share(run) * aside for run in mine], [value(run) for run in mine]
        points(panel, x, found, style)
        low, high = ([getattr(one, bound) for one in found] for bound in ("low", "high"))
        panel.fill_between(x, low, high, color=style["color"], alpha=0.07, linewidth=0)
    references = [run for run in runs(study) if run.arm not in arms]
    for run in references:
        look = REFERENCE["full" if run.trained else "untuned"]
        panel.axhline(value(run).value, linewidth=1, zorder=1, **look)
        if run.trained:
            points(panel, [1.0], [value(run)], {"color": look["color"], "marker": "o", "linestyle": "none"})
    _axis(panel, [run.ratio for run in runs(study)], [share(run) for run in runs(study) if run.trained])
    _name_references(panel, [(run.title, value(run).value, run.trained) for run in references])


def _axis(panel: Axes, ratios: list[str], shares: list[float]) -> None:
    """Put a tick at every ratio of the config; the share of `auto` is no round number and has none."""
    ticks = sorted({float(ratio) for ratio in ratios if ratio not in ("0", AUTO)})
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(ticks))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlim(min((share for share in shares if not np.isnan(share)), default=1.0) / 1.5, 1.3)


def _name_references(panel: Axes, lines: list[tuple[str, float, bool]]) -> None:
    """Write the names of horizontal lines beside them, at least a line of text apart."""
    low, high = panel.get_ylim()
    least, previous = 0.09 * (high - low), float("-inf")
    for title, value, trained in sorted((line for line in lines if not np.isnan(line[1])), key=lambda line: line[1]):
        previous = max(value, previous + least)
        panel.annotate(
            title, (1, previous), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7.5, color=REFERENCE["full" if trained else "untuned"]["color"],
        )  # fmt: skip
