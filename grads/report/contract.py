"""What a table or a figure declares: its name, its words in the report, when a study has it, and how it is made.

Read while the workflow is planned, so nothing heavy is imported here nor at the top of a declaring file: what makes a
table imports pandas, and a figure matplotlib, inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grads.config.study import Study
from grads.report.files import CellFiles, SelectionFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grads.report.pool import Pool
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates

LAST = 1000
"""The order of what does not say where it stands."""


def _every_study(_study: Study) -> bool:
    return True


def _all_selections(_files: Sequence[SelectionFiles]) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Item:
    """What the report shows.

    Attributes:
        name: of its files, and of their entry in messages.
        title: as the report's list calls it.
        caption: what the report says of it: reStructuredText and a Jinja template, see `grads.report.captions`.
        category: the part of the report that it stands in.
        order: its place among the others of its kind; of equal ones the name decides.
    """

    name: str
    title: str
    caption: str
    category: str
    order: int = LAST


@dataclass(frozen=True, kw_only=True)
class TableItem(Item):
    """A table's declaration, called `TABLE` in its file: one of the two classes below.

    Attributes:
        latex: whether it is written as LaTeX too; one with running text is not.
    """

    latex: bool = True

    @property
    def suffixes(self) -> list[str]:
        """Return those of the files that the report does not show."""
        return [".csv", ".md", *([".tex"] if self.latex else [])]


@dataclass(frozen=True, kw_only=True)
class MeasuredTable(TableItem):
    """A table of the study's measurements.

    Attributes:
        build: makes it. It raises a GradsError where the measurements lack something that the study asks for.
        when: whether a study has it.
    """

    build: Callable[[Study, Estimates], Table]
    when: Callable[[Study], bool] = _every_study
    category: str = "Tables"


@dataclass(frozen=True, kw_only=True)
class SelectionTable(TableItem):
    """A table of what was selected; every study has it.

    Attributes:
        gather: what is known of the pool of one model and domain.
        build: makes the table of what was gathered of all pools, in the order of the config.
    """

    gather: Callable[[Study, Pool], list[Any]]
    build: Callable[[Study, list[Any]], Table]
    category: str = "Selection"


@dataclass(frozen=True, kw_only=True)
class FigureItem(Item):
    """A figure's declaration, called `FIGURE` in its file: one of the three classes below."""


@dataclass(frozen=True, kw_only=True)
class MeasuredFigure(FigureItem):
    """A figure of the study's measurements.

    Attributes:
        draw: draws it.
        when: whether a study has it.
        on_domain_pages: what a domain's page says that it shows; None: it does not stand there.
    """

    draw: Callable[[Study, Estimates], Figure]
    when: Callable[[Study], bool] = _every_study
    on_domain_pages: str | None = None
    category: str = "Figures"


@dataclass(frozen=True, kw_only=True)
class TrainingFigure(FigureItem):
    """A figure of how training went; every study has it.

    Attributes:
        draw: draws it from the files of cells.
    """

    draw: Callable[[Study, Sequence[CellFiles]], Figure]
    category: str = "Figures"


@dataclass(frozen=True, kw_only=True)
class SelectionFigure(FigureItem):
    """A figure of what was selected.

    Attributes:
        gather: what is known of the pool of one model and domain; where it is a table's, it is done once for both.
        draw: draws the figure of what was gathered of all pools, in the order of the config.
        when: whether a study with these selections has it.
    """

    gather: Callable[[Study, Pool], list[Any]]
    draw: Callable[[Study, list[Any]], Figure]
    when: Callable[[Sequence[SelectionFiles]], bool] = _all_selections
    category: str = "Selection"
