"""Paired differences of every run to full data and to a random subset of its ratio, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.statistics.estimates import Estimates


def draw(study: Study, estimates: Estimates) -> Figure:
    """Return the figure."""
    from grads.report.drawing.differences import difference_figure

    return difference_figure(study, estimates)


FIGURE = MeasuredFigure(
    name="differences",
    title="Differences",
    order=10,
    draw=draw,
    on_domain_pages="differences to full data and to a random subset",
    caption="""
Every run against full data and against the random subset of its ratio: differences paired by test item and seed,
with their 95 % intervals, from the tables *domain* and *forgetting*. Intervals of two runs that overlap in other
figures may still differ; this is the figure that decides. {% if snakemake.config["seeds"] | length > 2 %}Filled
markers are told from 0 after Holm's correction, open ones are not.{% else %}With fewer than three seeds intervals
are over test items only, and nothing is tested.{% endif %}
""",
)
