"""`grads report`: the tables, figures and pages of what a study has measured so far."""

from typing import TYPE_CHECKING, Annotated

import typer

from grads.cli.study import Config, checked_study
from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    from pathlib import Path

    from grads.config.study import Study
    from grads.graph.study import StudyGraph
    from grads.study.job import Job

RULES = ("measurements", "tables", "curves", "selection_tables", "pages")
"""The jobs of a finished study's report, each after those that it reads from."""


def report(
    config: Config,
    paper: Annotated[
        bool,
        typer.Option("--paper", help="Tables and figures for a paper, too: LaTeX, and PDF of one and two columns."),
    ] = False,
) -> None:
    """Make a study's tables, figures and pages of what is there, and say where to look.

    Nothing is trained or evaluated. Of a study that is not finished, or that is being run, the report is of the cells
    that are: it lies in results/<study>/partial and says what is missing.

    \b
    Examples:
      grads report mine.yaml
      grads report mine.yaml --paper
    """
    from grads.config.yaml_file import read_yaml
    from grads.graph.study import StudyGraph
    from grads.runtime.locks import study_holder
    from grads.runtime.runner import Machine, run_jobs

    # Jobs know the config as it is written: what the workflow has made of it is not made again.
    graph = StudyGraph(checked_study(config), read_yaml(config))
    root = graph.paths.root
    if study_holder(root) is None and is_complete(graph):
        run_jobs(report_jobs(graph), Machine())
        folder = root
    elif paper:
        raise GradsError(f"--paper: study '{graph.study.study}' is not finished: `grads status` says what is missing")
    else:
        partial = graph.partial()
        partial.run(Machine())
        folder = partial.folder
    if paper:
        _make_paper(graph.study, folder)
        typer.echo(f"paper:  {folder / 'paper'}, of which paper.tex is one page")
    typer.echo(f"report: {overview_of(folder)}")


def _make_paper(study: "Study", folder: "Path") -> None:
    from grads.report.measurements import read_measurements
    from grads.report.paper import make_paper
    from grads.report.statistics.estimates import Estimates

    make_paper(study, Estimates(read_measurements(folder / "measurements.parquet")), folder / "paper")


def report_jobs(graph: "StudyGraph") -> "list[Job]":
    """Return the jobs that make the report of a finished study, in their order."""
    return [graph.job(rule, {}) for rule in RULES]


def is_complete(graph: "StudyGraph") -> bool:
    """Return whether all is there that a finished study's report is made of."""
    jobs = report_jobs(graph)
    made = {path for job in jobs for path in job.outputs}
    return all(path.exists() or path in made for job in jobs for path in job.inputs)


def overview_of(folder: "Path") -> "Path":
    """Return the page that a report begins with."""
    return folder / "pages" / "index.html"
