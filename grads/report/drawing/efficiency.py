"""What quality costs: the operations of selecting and training against the gain on the domain."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.config.study import Study
from grads.report.building.cost import cost_rows
from grads.report.drawing.claimed import Axis, gain_axis
from grads.report.drawing.style import (
    arm_style,
    bars,
    handle,
    logarithmic,
    mark,
    place_panels,
    places,
    reference_line,
    runs_of,
    size_handles,
    sizes,
    trained_arms,
)
from grads.report.statistics.estimates import Estimates, Run, estimate, untuned_run


def efficiency_figure(study: Study, estimates: Estimates) -> Figure:
    """Return gain against floating-point operations: a panel per model and domain, a point per arm and ratio.

    A point stands at what a user of that run alone would spend, on selecting and training; the stroke to its left
    reaches down to what it took as this study shared its passes. The metric is that of the study's claims (`learnt`).
    """
    costs = cost_rows(study, estimates.frame).set_index(["model", "domain", "arm", "ratio"]).sort_index()
    axis = gain_axis(study)
    handles = [handle(study, arm, "point") for arm in trained_arms(study)] + size_handles(study)
    with place_panels(study, (2.6, 2.2), handles) as (figure, shown):
        for panel, place in zip(shown, places(study), strict=True):
            _draw(panel, study, estimates, place, axis, costs)
            panel.set_xlabel("selecting and training, FLOPs (lower is better)")
            panel.set_ylabel(axis.label)
    return figure


def _draw(
    panel: Axes, study: Study, estimates: Estimates, place: tuple[str, str], axis: Axis, costs: pd.DataFrame
) -> None:
    size = sizes(study)
    spent = []
    for arm in trained_arms(study):
        style = arm_style(study, arm)
        for run in runs_of(study, arm, lambda run: estimates.share(*place, run)):
            whole, shared = flops(costs, place, run)
            one = estimate(axis.sample(estimates, place, run))
            panel.errorbar(
                [whole], [one.value], yerr=bars([one]), fmt="none", ecolor="#c4c4c4", elinewidth=0.5, zorder=1
            )
            panel.plot([shared, whole], [one.value] * 2, color=style["color"], linewidth=1.2)
            mark(panel, whole, one.value, style, size[run.ratio])
            # An axis is made for the points that are drawn.
            spent += [whole + 0 * one.value, shared + 0 * one.value]
    if untuned_run(study):
        reference_line(panel, 0, "untuned")
    logarithmic(panel, spent)


def flops(costs: pd.DataFrame, place: tuple[str, str], run: Run) -> tuple[float, float]:
    """Return the operations of training with those of selecting, standalone and as run; NaN where one is not known."""
    row = costs.loc[(*place, run.arm, run.ratio)]
    training, standalone, as_run = (float(row[f"{name}_flops"]) for name in ("training", "standalone", "as_run"))
    return training + standalone, training + as_run
