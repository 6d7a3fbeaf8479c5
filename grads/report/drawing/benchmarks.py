"""What each general benchmark lost: changes against the untuned model, run by run."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.config.study import Study
from grads.report.drawing.claimed import axis_label
from grads.report.drawing.style import (
    ROW,
    SMALL,
    arm_style,
    bars,
    panels,
    place_title,
    places,
    reference_line,
    run_rows,
    trained_runs,
)
from grads.report.statistics.choices import AMONG_CHOICES
from grads.report.statistics.estimates import Estimates, Quantity, Run, untuned_run
from grads.report.statistics.samples import Estimate

_COLUMNS = 6
"""Benchmarks side by side; more stand below."""


def benchmark_figure(study: Study, estimates: Estimates) -> Figure:
    """Return for each model and domain a panel per benchmark and measure, and in it a line per arm and ratio.

    Measures are the accuracy, in points, and the right answer's mean log-probability among the item's choices where a
    task has some. Without an untuned arm the values themselves stand there.
    """
    measured = _measured(study, estimates)
    found = places(study)
    columns = len(measured[0])
    shown = trained_runs(study)
    heights = [ROW * (len(shown) + 1)] * (len(measured) * len(found))
    with panels(study, heights, [1.5] * columns) as (figure, axes):
        for index, place in enumerate(found):
            rows = axes[index * len(measured) : (index + 1) * len(measured)]
            for row, quantities in zip(rows, measured, strict=True):
                for number, panel in enumerate(row):
                    if number >= len(quantities):
                        panel.remove()
                        continue
                    _draw(panel, study, estimates, place, quantities[number])
                    panel.tick_params(axis="y", labelleft=number == 0)
                row[0].set_ylabel(f"tuned on {place_title(study, *place)}", fontweight="bold")
    return figure


def _measured(study: Study, estimates: Estimates) -> list[list[Quantity]]:
    """Return what each row of panels shows: accuracies, then log-probabilities of tasks that have them."""
    frame = estimates.frame
    gold = set(frame[(frame["part"] == "general") & (frame["metric"] == AMONG_CHOICES)]["task"])
    tasks = study.general.tasks
    accuracies = [Quantity.general(task, spec.metric) for task, spec in tasks.items()]
    answers = [Quantity.general(task, AMONG_CHOICES) for task in tasks if task in gold]
    return [
        measures[start : start + _COLUMNS]
        for measures in (accuracies, answers)
        for start in range(0, len(measures), _COLUMNS)
    ]


def _draw(panel: Axes, study: Study, estimates: Estimates, place: tuple[str, str], quantity: Quantity) -> None:
    untuned = untuned_run(study)
    gold = quantity.metric == AMONG_CHOICES
    scale = 1 if gold else 100
    for height, run in enumerate(trained_runs(study)):
        one = _change(estimates, place, run, untuned, quantity)
        style = arm_style(study, run.arm)
        spread = bars([one])
        panel.errorbar(
            [scale * one.value], [height], xerr=None if spread is None else scale * spread, color=style["color"],
            marker=style["marker"], markersize=4.5, elinewidth=0.9, capsize=1.8, linestyle="none",
        )  # fmt: skip
    run_rows(panel, trained_runs(study))
    if untuned:
        reference_line(panel, 0, "untuned", vertical=True)
    panel.set_title(study.general.tasks[quantity.task].title, loc="left")
    measure, unit = ("gold log p", "nats") if gold else ("accuracy", "points")
    panel.set_xlabel(axis_label(f"change of {measure}" if untuned else measure, unit, True), fontsize=SMALL)


def _change(estimates: Estimates, place: tuple[str, str], run: Run, untuned: Run | None, of: Quantity) -> Estimate:
    return estimates.of(*place, run, of) if untuned is None else estimates.difference(*place, run, untuned, of)
