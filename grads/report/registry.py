"""The registries of tables and figures: every file of `grads.report.tables` declares a `TABLE`, and of
`grads.report.figures` a `FIGURE`.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from grads.config.study import Study
from grads.report.contract import (
    FigureItem,
    Item,
    MeasuredFigure,
    MeasuredTable,
    SelectionFigure,
    SelectionTable,
    TableItem,
    TrainingFigure,
)
from grads.report.files import SelectionFiles
from grads.runtime.registry import Registry

TABLES = Registry("grads.report.tables", "TABLE", TableItem, "there is no table", group="grads.tables")
FIGURES = Registry("grads.report.figures", "FIGURE", FigureItem, "there is no figure", group="grads.figures")

Kind = TypeVar("Kind", bound=Item)


def _of_kind(items: Iterable[Item], kind: type[Kind]) -> list[Kind]:
    """Return the items of a kind, in the order in which they are shown."""
    return sorted((one for one in items if isinstance(one, kind)), key=lambda one: (one.order, one.name))


def measured_tables(study: Study) -> list[MeasuredTable]:
    """Return the tables of a study's measurements: those that every study has, and those that it gives reason for."""
    return [one for one in _of_kind(TABLES.all().values(), MeasuredTable) if one.when(study)]


def measured_figures(study: Study) -> list[MeasuredFigure]:
    """Return the figures of a study's measurements."""
    return [one for one in _of_kind(FIGURES.all().values(), MeasuredFigure) if one.when(study)]


def training_figures() -> list[TrainingFigure]:
    """Return the figures of how training went."""
    return _of_kind(FIGURES.all().values(), TrainingFigure)


def selection_tables() -> list[SelectionTable]:
    """Return the tables of what was selected."""
    return _of_kind(TABLES.all().values(), SelectionTable)


def selection_figures(files: Sequence[SelectionFiles]) -> list[SelectionFigure]:
    """Return the figures of what was selected, of a study with these selections."""
    return [one for one in _of_kind(FIGURES.all().values(), SelectionFigure) if one.when(files)]


def modules_of(items: Iterable[Item]) -> list[str]:
    """Return the modules that declare tables and figures, for the code version of what makes them."""
    return [(TABLES if isinstance(one, TableItem) else FIGURES).module_of(one.name) for one in items]


def table_names(study: Study) -> list[str]:
    """Return the names of the tables of a study's measurements."""
    return [one.name for one in measured_tables(study)]


def figure_names(study: Study) -> list[str]:
    """Return the names of the figures of a study's measurements."""
    return [one.name for one in measured_figures(study)]
