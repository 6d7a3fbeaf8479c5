"""The tables stage: from the files of finished cells to tables and figures."""

from collections.abc import Sequence
from pathlib import Path

from grads.config.study import Study
from grads.report.drawing.style import write_figure
from grads.report.files import CellFiles
from grads.report.measurements import collect, read_measurements, write_measurements
from grads.report.registry import measured_figures, measured_tables, training_figures
from grads.report.rendering.render import write_table
from grads.report.statistics.estimates import Estimates
from grads.runtime.progress import say


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
    """Write every figure of how training went (SVG, PDF), such as `curves`, from the summaries of trainings.

    Raises:
        GradsError: one of them has no curve.
    """
    for figure in training_figures():
        say(f"figures: {figure.name}")
        write_figure(figure.draw(study, files), figures / figure.name)


def write_tables(study: Study, estimates: Estimates, folder: Path) -> None:
    """Write every table (CSV, Markdown, LaTeX, HTML) to `folder`."""
    for table in measured_tables(study):
        say(f"tables: {table.name}")
        write_table(table.build(study, estimates), folder / table.name)


def write_figures(study: Study, estimates: Estimates, folder: Path) -> None:
    """Write every figure of the long table (SVG, PDF) to `folder`."""
    for figure in measured_figures(study):
        say(f"figures: {figure.name}")
        write_figure(figure.draw(study, estimates), folder / figure.name)
