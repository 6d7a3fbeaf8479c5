"""What each run gains, forgets and costs, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.statistics.estimates import Estimates


def draw(study: Study, estimates: Estimates) -> Figure:
    """Return the figure."""
    from grads.report.drawing.overview import overview_figure

    return overview_figure(study, estimates)


FIGURE = MeasuredFigure(
    name="overview",
    title="Overview",
    order=5,
    draw=draw,
    on_domain_pages="what each arm gains, forgets and costs",
    caption="""
What each arm gains, forgets and costs, in the measures of the study's claims, as means over domains. Bars are 95 %
intervals; the dotted line is the untuned model, the dashed one training on all records. The price is that of a user
of this one arm, selecting and training, in floating-point operations; the stroke to its left reaches to what it took
here, where arms shared passes over the data.
""",
)
