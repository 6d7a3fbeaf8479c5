"""What the gain on the domain costs elsewhere: gain against forgetting, and how often no run beats another in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.statistics.estimates import Estimates


def draw(study: Study, estimates: Estimates) -> Figure:
    """Return the figure."""
    from grads.report.drawing.tradeoff import tradeoff_figure

    return tradeoff_figure(study, estimates)


FIGURE = MeasuredFigure(
    name="tradeoff",
    title="Tradeoff",
    order=30,
    draw=draw,
    on_domain_pages="gain on the domain against what is forgotten",
    caption="""
What was learnt against what was forgotten, in the measures of the study's claims. The names of the axes say which
direction is better. Larger markers keep more records; lines join the ratios of one arm; bars are 95 % intervals. {%
if snakemake.config["seeds"] | length > 2 %}The grey line is the Pareto front of the estimates: runs that no other
run, nor the untuned model, beats in both. How sure that is stands next to each panel: in how many of 2,000 draws of
test items and seeds, the same for all runs, a run is on the front.{% else %}With fewer than three seeds there is no
Pareto front: which runs are on it may be owed to the seeds alone.{% endif %}
""",
)
