"""Where in the distribution of gradient magnitudes the records lie that each arm keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import SelectionFigure
from grads.report.files import SelectionFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.drawing.magnitudes import Magnitudes
    from grads.report.pool import Pool


def when(files: Sequence[SelectionFiles]) -> bool:
    """Whether a method reads norms of the model's gradients."""
    return any(one.magnitudes for one in files)


def gather(study: Study, pool: Pool) -> list[Magnitudes]:
    """Return the magnitudes of a pool, if there are any."""
    from grads.report.drawing.magnitudes import magnitudes_of

    return magnitudes_of(study, pool)


def draw(study: Study, magnitudes: list[Magnitudes]) -> Figure:
    """Return the figure."""
    from grads.report.drawing.magnitudes import magnitude_figure

    return magnitude_figure(study, magnitudes)


FIGURE = SelectionFigure(
    name="magnitudes",
    title="Magnitudes (figure)",
    order=20,
    gather=gather,
    draw=draw,
    when=when,
    caption="""
Which part of the distribution of gradient magnitudes does each arm keep? On top, all training records that may be
chosen, by the norm of their gradient; below, the records that each run keeps. A narrow box in the middle chooses
typical records, one at an end the most or least surprising. Seed {{ snakemake.config["seeds"][0] }}.
""",
)
