"""The tables stage: from the files of finished cells to tables and figures."""

from collections.abc import Sequence
from pathlib import Path

from grads.config.study import Study
from grads.report.drawing.style import write_figure
from grads.report.figures.benchmarks import benchmark_figure
from grads.report.figures.curves import curve_figure
from grads.report.figures.differences import difference_figure
from grads.report.figures.efficiency import efficiency_figure
from grads.report.figures.ratio import ratio_figure
from grads.report.figures.tradeoff import tradeoff_figure
from grads.report.files import CellFiles, figure_names, table_names
from grads.report.measurements import collect, read_measurements, write_measurements
from grads.report.rendering.render import write_table
from grads.report.statistics.estimates import Estimates
from grads.report.tables.ablation import ablation_table
from grads.report.tables.claims import claims_table
from grads.report.tables.cost import cost_table
from grads.report.tables.cross import cross_table
from grads.report.tables.domain import domain_table
from grads.report.tables.forgetting import forgetting_table
from grads.report.tables.main import main_table
from grads.report.tables.ranks import ranks_table
from grads.report.tables.transitions import transitions_table
from grads.runtime.progress import say

# The names are those that the workflow declares, in `grads.report.files`, which imports nothing heavy.
_BUILD_TABLE = {
    "main": main_table,
    "domain": domain_table,
    "forgetting": forgetting_table,
    "cost": cost_table,
    "transitions": transitions_table,
    "cross": cross_table,
    "ablation": ablation_table,
    "claims": claims_table,
    "ranks": ranks_table,
}
_DRAW_FIGURE = {
    "differences": difference_figure,
    "ratio": ratio_figure,
    "tradeoff": tradeoff_figure,
    "benchmarks": benchmark_figure,
    "efficiency": efficiency_figure,
}


def make_measurements(study: Study, files: Sequence[CellFiles], out: Path) -> None:
    """Write the long table of a study, measurements.parquet, from the files of all of its cells.

    Raises:
        GradsError: a cell, a file or an entry is missing.
    """
    write_measurements(collect(study, files), out)


def make_tables(study: Study, measurements: Path, tables: Path, figures: Path) -> None:
    """Write every table (CSV, Markdown, LaTeX, HTML) to `tables` and every figure (SVG, PDF) to `figures`.

    All numbers come from the long table; the study gives titles, order, label and what to show.

    Raises:
        GradsError: the long table lacks something that the study asks for.
    """
    estimates = Estimates(read_measurements(measurements))
    write_tables(study, estimates, tables)
    write_figures(study, estimates, figures)


def make_curves(study: Study, files: Sequence[CellFiles], figures: Path) -> None:
    """Write the figure `curves` (SVG, PDF) from the summaries of trainings.

    Raises:
        GradsError: one of them has no curve.
    """
    say("figures: curves")
    write_figure(curve_figure(study, files), figures / "curves")


def write_tables(study: Study, estimates: Estimates, folder: Path) -> None:
    """Write every table (CSV, Markdown, LaTeX, HTML) to `folder`."""
    for name in table_names(study):
        say(f"tables: {name}")
        write_table(_BUILD_TABLE[name](study, estimates), folder / name)


def write_figures(study: Study, estimates: Estimates, folder: Path) -> None:
    """Write every figure of the long table (SVG, PDF) to `folder`."""
    for name in figure_names(study):
        say(f"figures: {name}")
        write_figure(_DRAW_FIGURE[name](study, estimates), folder / name)
