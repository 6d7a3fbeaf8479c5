"""What quality costs: the operations of selecting and training against the gain on the domain."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.study.config import Study
from grads.tables.cost import cost_rows
from grads.tables.estimates import Estimates, Run, untuned_run
from grads.tables.figures.drawing import (
    REFERENCE,
    arm_style,
    bars,
    handle,
    legend,
    logarithmic,
    place_panels,
    places,
    runs_of,
    size_handles,
    sizes,
    trained_arms,
)
from grads.tables.figures.tradeoff import gain, gain_metric
from grads.tables.measures import MEASURES


def efficiency_figure(study: Study, estimates: Estimates) -> Figure:
    """Return gain against floating-point operations: a panel per model and domain, a point per arm and ratio.

    A point stands at what a user of that run alone would spend, on selecting and training; the stroke to its left
    reaches down to what it took as this study shared its passes.
    """
    costs = cost_rows(study, estimates.frame).set_index(["model", "domain", "arm", "ratio"]).sort_index()
    metric, untuned = gain_metric(study), untuned_run(study)
    with place_panels(study, (3.1, 2.8)) as (figure, axes, shown):
        for panel, place in zip(shown, places(study), strict=True):
            _draw(panel, study, estimates, place, metric, costs)
            panel.set_xlabel("selecting and training, FLOPs")
        for panel in axes[:, 0]:
            panel.set_ylabel(f"{MEASURES[metric].title} gain over untuned" if untuned else MEASURES[metric].title)
        legend(figure, [handle(study, arm, "point") for arm in trained_arms(study)] + size_handles(study))
    return figure


def _draw(
    panel: Axes, study: Study, estimates: Estimates, place: tuple[str, str], metric: str, costs: pd.DataFrame
) -> None:
    untuned, size, spent = untuned_run(study), sizes(study), []
    for arm in trained_arms(study):
        style = arm_style(study, arm)
        for run in runs_of(study, arm, partial(estimates.share, *place)):
            whole, shared = _flops(costs, place, run)
            one = gain(estimates, *place, metric, run, untuned)
            panel.errorbar(
                [whole], [one.value], yerr=bars([one]), fmt="none", ecolor="#c4c4c4", elinewidth=0.5, zorder=1
            )
            panel.plot([shared, whole], [one.value] * 2, color=style["color"], linewidth=1.2)
            panel.plot(whole, one.value, color=style["color"], marker=style["marker"], markersize=size[run.ratio])
            # An axis is made for the points that are drawn.
            spent += [whole + 0 * one.value, shared + 0 * one.value]
    if untuned:
        panel.axhline(0, **REFERENCE["untuned"], linewidth=1, zorder=1)
    logarithmic(panel, spent)


def _flops(costs: pd.DataFrame, place: tuple[str, str], run: Run) -> tuple[float, float]:
    """Return the operations of training with those of selecting, standalone and as run; NaN where one is not known."""
    row = costs.loc[(*place, run.arm, run.ratio)]
    training, standalone, as_run = (float(row[f"{name}_flops"]) for name in ("training", "standalone", "as_run"))
    return training + standalone, training + as_run
