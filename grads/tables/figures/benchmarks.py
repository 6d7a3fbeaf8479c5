"""What each general benchmark lost: changes against the untuned model, run by run."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.study.config import Study
from grads.tables.benchmark_items import AMONG_CHOICES
from grads.tables.estimates import Estimates, Quantity, Run, runs, untuned_run
from grads.tables.figures.drawing import REFERENCE, arm_style, bars, panels, place_title, places
from grads.tables.samples import Estimate

_COLUMNS = 6
"""Benchmarks beside each other; more stand below."""


def benchmark_figure(study: Study, estimates: Estimates) -> Figure:
    """Return for each model and domain a panel per benchmark and measure, and in it a line per arm and ratio.

    Measures are the accuracy, in points, and the right answer's mean log-probability among the item's choices where a
    task has some. Without an untuned arm the values themselves stand there.
    """
    measured = _measured(study, estimates)
    columns, count = len(measured[0]), sum(run.trained for run in runs(study))
    inches = (1.9 + 1.1 / columns, 0.85 + 0.155 * count)
    with panels(study, len(measured) * len(places(study)), columns, inches) as (figure, axes):
        for panel in axes.flat:
            panel.set_visible(False)
        for index, (model, domain) in enumerate(places(study)):
            rows = axes[index * len(measured) : (index + 1) * len(measured)]
            for row, quantities in zip(rows, measured, strict=True):
                for place, (panel, quantity) in enumerate(zip(row, quantities, strict=False)):
                    panel.set_visible(True)
                    _draw(panel, study, estimates, (model, domain), quantity)
                    _label(panel, study, quantity, place == 0)
            rows[0, 0].annotate(
                f"tuned on {place_title(study, model, domain)}", (0, 1), xytext=(-4, 20), xycoords="axes fraction",
                textcoords="offset points", ha="left", va="bottom", fontsize=10, fontweight="bold",
            )  # fmt: skip
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
    untuned, trained = untuned_run(study), [run for run in runs(study) if run.trained]
    scale = 1 if quantity.metric == AMONG_CHOICES else 100
    for height, run in enumerate(trained):
        one = _change(estimates, place, run, untuned, quantity)
        style, spread = arm_style(study, run.arm), bars([one])
        panel.errorbar(
            [scale * one.value], [height], xerr=None if spread is None else scale * spread, color=style["color"],
            marker=style["marker"], markersize=4.5, elinewidth=0.9, capsize=1.8, linestyle="none",
        )  # fmt: skip
    panel.set_yticks(range(len(trained)), [run.title for run in trained])
    panel.set_ylim(len(trained) - 0.4, -0.6)
    if untuned:
        panel.axvline(0, **REFERENCE["untuned"], linewidth=1, zorder=1)


def _change(estimates: Estimates, place: tuple[str, str], run: Run, untuned: Run | None, of: Quantity) -> Estimate:
    return estimates.of(*place, run, of) if untuned is None else estimates.difference(*place, run, untuned, of)


def _label(panel: Axes, study: Study, of: Quantity, first: bool) -> None:
    change = "change, " if untuned_run(study) else ""
    panel.set_title(study.general.tasks[of.task].title, loc="left")
    panel.set_xlabel(f"{change}{'gold log p' if of.metric == AMONG_CHOICES else 'accuracy in points'}", fontsize=7.5)
    panel.tick_params(axis="y", labelsize=7.5, length=0, labelleft=first)
