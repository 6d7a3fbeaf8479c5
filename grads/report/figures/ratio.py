"""What a keep ratio buys: domain metrics at the ratios that were run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.statistics.estimates import Estimates


def draw(study: Study, estimates: Estimates) -> Figure:
    """Return the figure."""
    from grads.report.drawing.ratio import ratio_figure

    return ratio_figure(study, estimates)


FIGURE = MeasuredFigure(
    name="ratio",
    title="Ratio",
    order=20,
    draw=draw,
    on_domain_pages="keep ratio against the domain metrics",
    caption="""
Domain metrics at the keep ratios that were run, from the untuned model at 0 to all records at 1, in order and not
to scale. Runs of one ratio stand side by side. Bars are 95 % intervals{% if snakemake.config["seeds"] | length > 1
%} of the means over seeds {{ snakemake.config["seeds"] | join(", ") }}{% else %} over test items, of one seed{%
endif %}. Lines between points of an arm only lead the eye: nothing was measured there. Horizontal lines: the
untuned model (dotted) and tuning on all records (dashed). Whether two runs differ, the figure *differences* says.
""",
)
