"""How training went: the loss of every run, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import TrainingFigure
from grads.report.files import CellFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(study: Study, files: Sequence[CellFiles]) -> Figure:
    """Return the figure."""
    from grads.report.drawing.curves import curve_figure

    return curve_figure(study, files)


FIGURE = TrainingFigure(
    name="curves",
    title="Curves",
    draw=draw,
    caption="""
Training loss of every run, smoothed over a tenth of its steps; the marker ends it, the larger the more records it
keeps. {% if snakemake.config["seeds"] | length > 1 %}Lines are means over seeds {{ snakemake.config["seeds"] |
join(", ") }}, bands go from the least to the greatest.{% else %}One seed.{% endif +%} Losses of different arms are
of different records: a low one may mean easy records. An arm that scales another one's run trains nothing and has no
curve.
""",
)
