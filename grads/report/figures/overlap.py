"""The heat map of overlaps: a square for each pair of arms, with its number in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grads.config.study import Study
from grads.report.contract import SelectionFigure
from grads.report.tables.overlap import TABLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(study: Study, facts: list[dict[str, Any]]) -> Figure:
    """Return the figure of what its table shows."""
    from grads.data.frames import frame_of
    from grads.report.building.overlap import COLUMNS
    from grads.report.drawing.heatmap import overlap_figure

    return overlap_figure(study, frame_of(facts, COLUMNS))


FIGURE = SelectionFigure(
    name="overlap",
    title="Overlap (figure)",
    order=10,
    gather=TABLE.gather,
    draw=draw,
    caption=TABLE.caption,
)
