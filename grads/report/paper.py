"""What goes into a paper: tables as LaTeX, a page of the most wanted, and figures as wide as one column and as two."""

from functools import partial
from pathlib import Path

from grads.config.study import Study
from grads.report.drawing.style import draw_print, save
from grads.report.registry import measured_figures, measured_tables
from grads.report.rendering.render import latex, latex_page
from grads.report.statistics.estimates import Estimates
from grads.runtime.files import atomic_path, write_text
from grads.runtime.progress import say

PAGE = ("main", "forgetting", "claims", "cost")
"""Tables that stand on the one page."""
WIDTHS = {"column": 3.35, "page": 6.95}
"""Inches of one column and of both, about what conferences and journals of the field have."""


def make_paper(study: Study, estimates: Estimates, folder: Path) -> None:
    """Write `<table>.tex`, `paper.tex` and `<figure>-{column,page}.pdf` to a folder.

    Raises:
        GradsError: the long table lacks something.
    """
    tables = [one for one in measured_tables(study) if one.latex]
    for table in tables:
        say(f"paper: {table.name}")
        write_text(folder / f"{table.name}.tex", latex(table.build(study, estimates)))
    names = [one.name for one in tables]
    write_text(folder / "paper.tex", latex_page([name for name in PAGE if name in names]))
    for figure in measured_figures(study):
        say(f"paper: {figure.name}")
        for name, width in WIDTHS.items():
            drawn = draw_print(partial(figure.draw, study, estimates), width)
            with atomic_path(folder / f"{figure.name}-{name}.pdf") as temporary:
                save(drawn, temporary, "pdf")
