"""What the gain on the domain costs elsewhere: gain against forgetting, and how often no run beats another in both."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grads.config.study import Study
from grads.report.drawing.claimed import Axis, forgetting_axis, gain_axis
from grads.report.drawing.front import Position, pareto_front
from grads.report.drawing.style import (
    CONTROLS,
    ROW,
    SMALL,
    arm_style,
    bars,
    handle,
    logarithmic,
    mark,
    panels,
    place_title,
    places,
    reference_line,
    run_rows,
    runs_of,
    size_handles,
    sizes,
    trained_arms,
    trained_runs,
)
from grads.report.statistics.estimates import Estimates, untuned_run
from grads.report.statistics.samples import LEAST_SEEDS, scaled

_WIDTH = 3.1
_HEIGHT = 2.8
_STRIP = 1.2
"""Inches: of a panel, and the width of the one next to it that has the frequencies."""


@dataclass(frozen=True)
class Plane:
    """The two axes: what is forgotten, across, and what is gained, up."""

    forgotten: Axis
    gained: Axis


def tradeoff_figure(study: Study, estimates: Estimates) -> Figure:
    """Return gain on the domain against forgetting: a panel per model and domain, a point per arm and ratio.

    Both are measured as the study's claims do (`learnt`, `forgotten`), against the untuned model where there is one.
    From three seeds on there is the Pareto front, and next to each panel the share of bootstrap draws in which each run
    is on it; with fewer nobody can say how sure a front is, so there is none.
    """
    plane = Plane(forgetting_axis(study), gain_axis(study))
    with_front = len(study.seeds) >= LEAST_SEEDS
    found = places(study)
    columns = min(2 if with_front else 3, len(found))
    rows = -(-len(found) // columns)
    height = max(_HEIGHT, ROW * len(trained_runs(study))) if with_front else _HEIGHT
    widths = [_WIDTH, _STRIP] if with_front else [_WIDTH]
    handles = [handle(study, arm, "point") for arm in study.arms] + size_handles(study)
    if with_front:
        handles.append(Line2D([], [], label="Pareto front of the estimates", color="#8a8a8a", linewidth=2.5, alpha=0.6))
    with panels(study, [height] * rows, widths * columns, handles) as (figure, axes):
        groups = [list(group) for group in axes.reshape(-1, len(widths))]
        for group, place in zip(groups, found, strict=False):
            group[0].set_title(place_title(study, *place), loc="left")
            positions = _draw(group[0], study, estimates, place, plane)
            if with_front:
                _draw_front(group, study, positions, plane)
        for group in groups[len(found) :]:
            for panel in group:
                panel.remove()
    return figure


def _draw(panel: Axes, study: Study, estimates: Estimates, place: tuple[str, str], plane: Plane) -> list[Position]:
    """Draw the runs of a place, and return where those stand that are known."""
    panel.set_xlabel(plane.forgotten.label)
    panel.set_ylabel(plane.gained.label)
    size = sizes(study)
    known: list[Position] = []
    for arm in trained_arms(study):
        style = arm_style(study, arm)
        mine: list[Position] = []
        for run in runs_of(study, arm, lambda run: estimates.share(*place, run)):
            forgotten = plane.forgotten.sample(estimates, place, run)
            gained = plane.gained.sample(estimates, place, run)
            if forgotten is None or gained is None:
                continue
            mine.append(Position(run, forgotten, gained))
            x = forgotten.estimate()
            y = gained.estimate()
            panel.errorbar(
                [x.value], [y.value], xerr=bars([x]), yerr=bars([y]),
                fmt="none", ecolor="#c4c4c4", elinewidth=0.5, zorder=1,
            )  # fmt: skip
            mark(panel, x.value, y.value, style, size[run.ratio])
        panel.plot(
            [one.forgotten.value for one in mine], [one.gained.value for one in mine],
            color=style["color"], linestyle=style["linestyle"], linewidth=0.8, alpha=0.6,
        )  # fmt: skip
        known += mine
    if untuned_run(study):
        # It forgets nothing and gains nothing.
        reference_line(panel, 0, "untuned")
        panel.plot(0, 0, color=CONTROLS["untuned"]["color"], marker=CONTROLS["untuned"]["marker"], markersize=5.5)
    if plane.forgotten.measure.name == "kl":
        logarithmic(panel, [one.forgotten.value for one in known], with_zero=untuned_run(study) is not None)
    return known


def _draw_front(group: list[Axes], study: Study, known: list[Position], plane: Plane) -> None:
    """Draw the front into the panel, and next to it how often each run is on it."""
    panel, strip = group
    strip.set_title("on the front", loc="left")
    strip.set_xlabel("% of draws")
    run_rows(strip, trained_runs(study))
    strip.set_xlim(0, 100)
    strip.grid(axis="y", visible=False)
    less = -1.0 if plane.forgotten.higher_is_better else 1.0
    more = 1.0 if plane.gained.higher_is_better else -1.0
    positions = [Position(one.run, scaled(one.forgotten, less), scaled(one.gained, more)) for one in known]
    front = pareto_front(positions, with_origin=untuned_run(study) is not None)
    if front is None:
        return
    by_run = {one.run: one for one in known}
    line = [by_run[run] for run in front.runs]
    panel.plot(
        [one.forgotten.value for one in line], [one.gained.value for one in line],
        gid="front", color="#8a8a8a", linewidth=2.5, alpha=0.6, zorder=1,
    )  # fmt: skip
    for row, run in enumerate(trained_runs(study)):
        if run not in front.frequencies:
            continue
        style = arm_style(study, run.arm)
        percent = 100 * front.frequencies[run]
        strip.plot([0, percent], [row, row], color=style["color"], linewidth=1)
        strip.plot(percent, row, color=style["color"], marker=style["marker"], markersize=4.5, clip_on=False)
        strip.annotate(
            f"{percent:.0f}", (1, row), xycoords=("axes fraction", "data"), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=SMALL,
        )  # fmt: skip
