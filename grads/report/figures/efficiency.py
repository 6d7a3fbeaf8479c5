"""What quality costs: the operations of selecting and training against the gain on the domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.statistics.estimates import Estimates


def draw(study: Study, estimates: Estimates) -> Figure:
    """Return the figure."""
    from grads.report.drawing.efficiency import efficiency_figure

    return efficiency_figure(study, estimates)


FIGURE = MeasuredFigure(
    name="efficiency",
    title="Efficiency",
    order=50,
    draw=draw,
    on_domain_pages="gain on the domain against operations",
    caption="""
What quality costs. A marker stands at the floating-point operations that a user of that one run would spend:
preliminary epoch, gradient probe and other passes over the data, and the training itself. The stroke to its left
reaches to what the run took here, where the passes were shared. FLOPs are counted from parameters and tokens, the
same on every machine; the choosing itself is left out. Larger markers keep more records.
""",
)
