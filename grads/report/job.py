"""The jobs that make tables, figures and pages of what a study has measured."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grads.runtime.runner import Machine
from grads.study.job import Aside, Given, Job, Made, Read


class ReportJob(Job):
    """What these jobs have in common.

    Attributes:
        study: the config.
        config: the same as JSON in which nothing ends a script of the report's page, which shows all settings.
        declared: modules that declare what is made, whose code counts.
    """

    study: Aside[dict[str, Any]]
    config: str
    declared: Aside[list[str]] = []

    @property
    def more_modules(self) -> Iterable[str]:
        """Those of the tables and figures that are made."""
        return self.declared


class Measurements(ReportJob):
    """Collects the long table, from the files of all cells.

    Attributes:
        files: what the cells left.
        stores: of each arm, the signal stores that its selection and training needed.
        table: Parquet file of the long table.
    """

    rule = "measurements"
    modules = ("grads.report.run",)

    files: Read[list[Path]]
    stores: dict[str, list[str]]
    table: Made[Path]

    def run(self, machine: Machine) -> None:
        """Collect it."""
        from grads.report.files import cell_files
        from grads.report.run import make_measurements
        from grads.study.reading import parse_study

        study = parse_study(self.study)
        make_measurements(study, cell_files(study, self.stores), self.table)


class Tables(ReportJob):
    """Makes the tables and figures of the long table.

    Attributes:
        measurements: the long table.
        claims: the user's file of claims.
        seal: the study's seal, if it has one.
        tables: files of the tables.
        pages: tables as pages of the report.
        figures: the figures.
        prints: the same as PDF.
    """

    rule = "tables"
    modules = ("grads.report.run",)

    measurements: Read[Path]
    claims: Given[list[Path]]
    seal: Given[list[Path]] = []
    tables: Made[list[Path]]
    pages: Made[list[Path]]
    figures: Made[list[Path]]
    prints: Made[list[Path]]

    def run(self, machine: Machine) -> None:
        """Make them."""
        from grads.report.run import make_tables
        from grads.study.reading import parse_study

        make_tables(parse_study(self.study), self.measurements, self.tables[0].parent, self.figures[0].parent)


class Curves(ReportJob):
    """Draws how training went.

    Attributes:
        summaries: those of the runs.
        stores: see `Measurements`.
        figures: the figures.
        prints: the same as PDF.
    """

    rule = "curves"
    modules = ("grads.report.run",)

    summaries: Read[list[Path]]
    stores: dict[str, list[str]]
    figures: Made[list[Path]]
    prints: Made[list[Path]]

    def run(self, machine: Machine) -> None:
        """Draw them."""
        from grads.report.files import cell_files
        from grads.report.run import make_curves
        from grads.study.reading import parse_study

        study = parse_study(self.study)
        make_curves(study, cell_files(study, self.stores), self.figures[0].parent)


class SelectionTables(ReportJob):
    """Makes the tables and figures of what was selected.

    Attributes:
        files: selections, signals and records.
        reads: of each arm, the signal stores that its method itself reads, and which columns of them.
        tables: files of the tables.
        pages: tables as pages of the report.
        figures: the figures.
        prints: the same as PDF.
    """

    rule = "selection_tables"
    modules = ("grads.report.selections",)

    files: Read[list[Path]]
    reads: dict[str, dict[str, list[str]]]
    tables: Made[list[Path]]
    pages: Made[list[Path]]
    figures: Made[list[Path]]
    prints: Made[list[Path]]

    def run(self, machine: Machine) -> None:
        """Make them."""
        from grads.report.files import selection_files
        from grads.report.selections import make_selection_tables
        from grads.study.reading import parse_study

        study = parse_study(self.study)
        files = selection_files(study, self.reads)
        make_selection_tables(study, files, self.tables[0].parent, self.figures[0].parent)


class Pages(ReportJob):
    """Writes the pages of the report: an overview, one a domain, and one that says how the study was made.

    Attributes:
        measurements: the long table.
        files: records and answers.
        claims: the user's file of claims.
        overview: the page that the others are found from.
        pages: one a domain.
        provenance: how the study was made.
    """

    rule = "pages"
    modules = ("grads.report.pages",)

    measurements: Read[Path]
    files: Read[list[Path]]
    claims: Given[list[Path]]
    overview: Made[Path]
    pages: Made[list[Path]]
    provenance: Made[Path]

    def run(self, machine: Machine) -> None:
        """Write them."""
        from grads.report.files import answer_files
        from grads.report.measurements import read_measurements
        from grads.report.pages import make_pages
        from grads.report.statistics.estimates import Estimates
        from grads.study.reading import parse_study

        study = parse_study(self.study)
        answers = {domain: answer_files(study, domain) for domain in study.domains}
        estimates = Estimates(read_measurements(self.measurements))
        manifest = self.measurements.with_name(f"{self.measurements.stem}.manifest.json")
        make_pages(study, estimates, answers, self.overview.parent, manifest)


class Partial(ReportJob):
    """Makes tables and figures over what a study has so far, which nothing waits for.

    Attributes:
        stores: see `Measurements`.
        reads: see `SelectionTables`.
        folder: where they go.
    """

    rule = "partial"
    modules = ()

    stores: dict[str, list[str]]
    reads: dict[str, dict[str, list[str]]]
    folder: Path

    def run(self, machine: Machine) -> None:
        """Make them, with a manifest of their own."""
        import time

        from grads.report.files import cell_files, selection_files
        from grads.report.partial import make_partial
        from grads.report.selections import make_partial_selections
        from grads.runtime.manifest import content_sha256, write_manifests
        from grads.study.reading import parse_study

        started = time.time()
        study = parse_study(self.study)
        made = make_partial(study, cell_files(study, self.stores), self.folder)
        made += make_partial_selections(study, selection_files(study, self.reads), self.folder)
        measured = {str(made[0]): content_sha256(made[0])}
        write_manifests(made, measured, {"rule": self.rule, "study": self.study}, started)
