"""What the gain on the domain costs elsewhere: gain against forgetting, and how often no run beats another in both."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grads.study.config import Study
from grads.tables.estimates import Estimates, Run, estimate, untuned_run
from grads.tables.figures.claimed import Axis, forgetting_axis, gain_axis
from grads.tables.figures.drawing import (
    CONTROLS,
    ROW,
    SMALL,
    arm_style,
    bars,
    handle,
    logarithmic,
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
from grads.tables.figures.front import Front, Position, pareto_front
from grads.tables.samples import LEAST_SEEDS, Sample, scaled

_WIDTH, _HEIGHT, _STRIP = 3.1, 2.8, 1.2
"""Inches: of a panel, and the width of the one next to it that has the frequencies."""


def tradeoff_figure(study: Study, estimates: Estimates) -> Figure:
    """Return gain on the domain against forgetting: a panel per model and domain, a point per arm and ratio.

    Both are measured as the study's claims do (`learnt`, `forgotten`), against the untuned model where there is one.
    From three seeds on there is the Pareto front, and next to each panel the share of bootstrap draws in which each run
    is on it; with fewer nobody can say how sure a front is, so there is none.
    """
    across, up = forgetting_axis(study), gain_axis(study)
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
            positions = _draw(group[0], study, estimates, place, (across, up))
            if with_front:
                _draw_front(group, study, positions, (across, up))
        for group in groups[len(found) :]:
            for panel in group:
                panel.remove()
    return figure


def _draw(
    panel: Axes, study: Study, estimates: Estimates, place: tuple[str, str], axes: tuple[Axis, Axis]
) -> dict[Run, tuple[Sample, Sample]]:
    """Draw the runs of a place, and return where those stand that are known."""
    across, up = axes
    panel.set_xlabel(across.label)
    panel.set_ylabel(up.label)
    size = sizes(study)
    known: dict[Run, tuple[Sample, Sample]] = {}
    for arm in trained_arms(study):
        style = arm_style(study, arm)
        points = []
        for run in runs_of(study, arm, lambda run: estimates.share(*place, run)):
            samples = across.sample(estimates, place, run), up.sample(estimates, place, run)
            if samples[0] is None or samples[1] is None:
                continue
            known[run] = (samples[0], samples[1])
            x, y = samples[0].estimate(), samples[1].estimate()
            panel.errorbar(
                [x.value], [y.value], xerr=bars([x]), yerr=bars([y]),
                fmt="none", ecolor="#c4c4c4", elinewidth=0.5, zorder=1,
            )  # fmt: skip
            panel.plot(x.value, y.value, color=style["color"], marker=style["marker"], markersize=size[run.ratio])
            points.append((x.value, y.value))
        panel.plot(
            [x for x, _ in points], [y for _, y in points],
            color=style["color"], linewidth=0.8, linestyle=style["linestyle"], alpha=0.6,
        )  # fmt: skip
    if untuned_run(study):
        # It forgets nothing and gains nothing.
        reference_line(panel, 0, "untuned")
        panel.plot(0, 0, color=CONTROLS["untuned"]["color"], marker=CONTROLS["untuned"]["marker"], markersize=5.5)
    if across.measure.name == "kl":
        logarithmic(panel, [x.value for x, _ in known.values()], with_zero=untuned_run(study) is not None)
    return known


def _draw_front(
    group: list[Axes], study: Study, known: dict[Run, tuple[Sample, Sample]], axes: tuple[Axis, Axis]
) -> None:
    """Draw the front into the panel, and next to it how often each run is on it."""
    panel, strip = group
    across, up = axes
    less, more = (-1.0 if across.higher_is_better else 1.0), (1.0 if up.higher_is_better else -1.0)
    positions = [Position(run, scaled(x, less), scaled(y, more)) for run, (x, y) in known.items()]
    front = pareto_front(positions, with_origin=untuned_run(study) is not None)
    strip.set_title("on the front", loc="left")
    strip.set_xlabel("% of draws")
    run_rows(strip, trained_runs(study))
    strip.set_xlim(0, 100)
    strip.grid(axis="y", visible=False)
    if front is None:
        return
    _draw_line(panel, front, known)
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


def _draw_line(panel: Axes, front: Front, known: dict[Run, tuple[Sample, Sample]]) -> None:
    values = [(estimate(known[run][0]).value, estimate(known[run][1]).value) for run in front.runs]
    panel.plot(
        [x for x, _ in values], [y for _, y in values], gid="front", color="#8a8a8a", linewidth=2.5, alpha=0.6, zorder=1
    )
