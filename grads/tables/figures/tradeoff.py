"""What the gain on the domain costs elsewhere: gain against drift, with the runs that no other run beats in both."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grads.study.config import Study
from grads.tables.estimates import Estimates, Quantity, Run, untuned_run
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
from grads.tables.measures import MEASURES
from grads.tables.samples import Estimate

_GAIN_METRICS = ("meteor", "bleu", "chrf", "response_nll")
_FRONT: dict[str, Any] = {
    **{"color": "#8a8a8a", "linewidth": 2.5, "alpha": 0.6, "zorder": 1},
    **{"marker": "o", "markersize": 12, "markerfacecolor": "none", "markeredgewidth": 1.2},
}


def tradeoff_figure(study: Study, estimates: Estimates) -> Figure:
    """Return gain on the domain against drift on general text: a panel per model and domain, a point per arm and ratio.

    The front joins the runs that no other run, nor the untuned model, beats in both. Without an untuned arm there is no
    gain to show: the metric itself stands on the vertical axis, and the front is of its better values.
    """
    metric, untuned = gain_metric(study), untuned_run(study)
    with place_panels(study, (3.1, 2.8)) as (figure, axes, shown):
        for panel, (model, domain) in zip(shown, places(study), strict=True):
            _draw(panel, study, estimates, model, domain, metric)
            panel.set_xlabel("drift: KL(untuned || tuned), nats per token")
        for panel in axes[:, 0]:
            panel.set_ylabel(f"{MEASURES[metric].title} gain over untuned" if untuned else MEASURES[metric].title)
        front = Line2D([], [], label="Pareto front", **_FRONT)
        legend(figure, [handle(study, arm, "point") for arm in trained_arms(study)] + size_handles(study) + [front])
    return figure


def gain_metric(study: Study) -> str:
    """Return the metric by which figures of one metric judge what was learnt."""
    metrics = study.evaluation.metrics
    return next((metric for metric in _GAIN_METRICS if metric in metrics), metrics[0])


def gain(estimates: Estimates, model: str, domain: str, metric: str, run: Run, untuned: Run | None) -> Estimate:
    """Return the difference to untuned, so that more is better; without untuned the value itself."""
    if untuned is None:
        return estimates.of(model, domain, run, Quantity.domain(metric))
    one = estimates.difference(model, domain, run, untuned, Quantity.domain(metric))
    if MEASURES[metric].higher_is_better:
        return one
    return dataclasses.replace(one, value=-one.value, low=-one.high, high=-one.low)


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Return which of some points no other beats, by rising cost: each gains more than all that cost no more.

    Of equal points the first is returned. What is NaN takes no part.
    """
    known = [place for place in range(len(costs)) if not np.isnan(costs[place] + gains[place])]
    front: list[int] = []
    for place in sorted(known, key=lambda place: (costs[place], -gains[place])):
        if not front or gains[place] > gains[front[-1]]:
            front.append(place)
    return front


def _draw(panel: Axes, study: Study, estimates: Estimates, model: str, domain: str, metric: str) -> None:
    untuned, size = untuned_run(study), sizes(study)
    drifts, gains = [], []
    for arm in trained_arms(study):
        mine = runs_of(study, arm, partial(estimates.share, model, domain))
        x = [estimates.of(model, domain, run, Quantity.general("text", "kl")) for run in mine]
        y = [gain(estimates, model, domain, metric, run, untuned) for run in mine]
        values, style = ([one.value for one in x], [one.value for one in y]), arm_style(study, arm)
        panel.errorbar(*values, xerr=bars(x), yerr=bars(y), fmt="none", ecolor="#c4c4c4", elinewidth=0.5, zorder=1)
        panel.plot(*values, color=style["color"], linewidth=0.8, linestyle=style["linestyle"], alpha=0.6)
        for run, across, up in zip(mine, *values, strict=True):
            panel.plot(across, up, color=style["color"], marker=style["marker"], markersize=size[run.ratio])
        drifts += values[0]
        gains += values[1]
    upward = untuned is not None or MEASURES[metric].higher_is_better
    _draw_front(panel, drifts, gains, untuned is not None, upward)
    # An axis is made for the points that are drawn.
    logarithmic(panel, [drift + 0 * one for drift, one in zip(drifts, gains, strict=True)])


def _draw_front(panel: Axes, drifts: list[float], gains: list[float], untuned: bool, upward: bool) -> None:
    # The untuned model drifts by nothing and gains nothing; on a logarithmic axis it has no place.
    costs, better = ([*drifts, 0.0], [*gains, 0.0]) if untuned else (drifts, gains)
    front = pareto_front(costs, better if upward else [-one for one in better])
    front = [place for place in front if place < len(drifts)]
    panel.plot([drifts[one] for one in front], [gains[one] for one in front], gid="front", **_FRONT)
    if untuned:
        panel.axhline(0, **REFERENCE["untuned"], linewidth=1, zorder=1)
