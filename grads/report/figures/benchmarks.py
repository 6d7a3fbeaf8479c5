"""What each general benchmark lost: changes against the untuned model, run by run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.statistics.estimates import Estimates


def when(study: Study) -> bool:
    """Whether the study has general benchmarks."""
    return bool(study.general.tasks)


def draw(study: Study, estimates: Estimates) -> Figure:
    """Return the figure."""
    from grads.report.drawing.benchmarks import benchmark_figure

    return benchmark_figure(study, estimates)


FIGURE = MeasuredFigure(
    name="benchmarks",
    title="Benchmarks",
    order=40,
    draw=draw,
    when=when,
    caption="""
What each general benchmark lost or won: accuracy in points, and the log-probability of the right answer among the
choices, of every run {%- if "untuned" in snakemake.config["arms"] %} as differences to the untuned model{% endif
%}, on samples of {{ tasks }}. Left of the dotted line is lost. Bars are 95 % intervals over the same items for both
models; those of accuracy are wide with few items, and log-probabilities move long before accuracies do.
""",
)
