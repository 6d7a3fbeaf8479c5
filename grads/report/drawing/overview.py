"""What each run gains, forgets and costs: three panels with a line for every run, so that none hides another."""

import itertools
import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.config.study import Study
from grads.report.building.cost import cost_rows
from grads.report.drawing.claimed import Axis, forgetting_axis, gain_axis
from grads.report.drawing.efficiency import flops
from grads.report.drawing.style import (
    ROW,
    arm_style,
    bars,
    logarithmic,
    panels,
    reference_line,
    run_rows,
    trained_runs,
)
from grads.report.statistics.estimates import Estimates, Run, estimate, untuned_run
from grads.report.statistics.means import Place, has_mean, places_of
from grads.report.statistics.samples import Estimate, average

_WIDTH = 2.3
PRICE = "selecting and training, FLOPs (lower is better)"


def overview_figure(study: Study, estimates: Estimates) -> Figure:
    """Return gain, forgetting and price, each a panel per model, with a line per run: means over the domains.

    Gain and forgetting are measured as the study's claims do (`gain_axis`, `forgetting_axis`), with their 95 %
    intervals. The price is what a user of that run alone would spend; the stroke to its left reaches to what it took as
    this study shared its passes.
    """
    measured = [("Gained", gain_axis(study)), ("Forgotten", forgetting_axis(study))]
    costs = cost_rows(study, estimates.frame).set_index(["model", "domain", "arm", "ratio"]).sort_index()
    shown = trained_runs(study)
    heights = [ROW * (len(shown) + 1)] * len(study.models)
    with panels(study, heights, [_WIDTH] * 3) as (figure, axes):
        for line, (model, entry) in zip(axes, study.models.items(), strict=True):
            several = f"{entry.title}: " if len(study.models) > 1 else ""
            places = places_of(study, model)
            for panel, (title, axis) in zip(line, measured, strict=False):
                panel.set_title(f"{several}{title}", loc="left")
                panel.set_xlabel(f"{axis.label}{', mean over domains' * has_mean(study)}")
                _draw_measure(panel, study, estimates, places, axis)
            line[2].set_title(f"{several}Price", loc="left")
            line[2].set_xlabel(f"{PRICE}{', mean over domains' * has_mean(study)}")
            _draw_price(line[2], study, costs, places)
            for number, panel in enumerate(line):
                run_rows(panel, shown)
                panel.tick_params(axis="y", labelleft=number == 0)
                panel.grid(axis="y", visible=False)
    return figure


def mean_over(estimates: Estimates, places: Sequence[Place], run: Run, axis: Axis) -> Estimate:
    """Return where a run stands on an axis as a mean over places; NaN where one of them is not known yet."""
    samples = [axis.sample(estimates, place, run) for place in places]
    known = [sample for sample in samples if sample is not None]
    if len(known) < len(samples):
        return estimate(None)
    return estimate(known[0] if len(known) == 1 else average(known))


def _draw_measure(panel: Axes, study: Study, estimates: Estimates, places: Sequence[Place], axis: Axis) -> None:
    for row, run in enumerate(trained_runs(study)):
        one = mean_over(estimates, places, run, axis)
        style = arm_style(study, run.arm)
        panel.errorbar(
            [one.value], [row], xerr=bars([one]), color=style["color"], marker=style["marker"],
            markersize=4.5, elinewidth=0.9, capsize=1.8, linestyle="none",
        )  # fmt: skip
        if study.arms[run.arm].method == "full" and not math.isnan(one.value):
            reference_line(panel, one.value, "full", vertical=True)
    if untuned_run(study):
        reference_line(panel, 0, "untuned", vertical=True)


def _draw_price(panel: Axes, study: Study, costs: pd.DataFrame, places: Sequence[Place]) -> None:
    spent = []
    for row, run in enumerate(trained_runs(study)):
        pairs = [flops(costs, place, run) for place in places]
        whole, shared = (sum(values) / len(places) for values in zip(*pairs, strict=True))
        style = arm_style(study, run.arm)
        panel.plot([shared, whole], [row, row], color=style["color"], linewidth=1.2)
        panel.plot(whole, row, color=style["color"], marker=style["marker"], markersize=4.5)
        spent.append((whole, shared))
        if study.arms[run.arm].method == "full" and not math.isnan(whole):
            reference_line(panel, whole, "full", vertical=True)
    logarithmic(panel, list(itertools.chain(*spent)))
