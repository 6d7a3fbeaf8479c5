"""The stage of selections: from what methods chose to the tables and the figure that look at it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grads.config.study import Study
from grads.report.drawing.style import write_figure
from grads.report.files import SelectionFiles
from grads.report.pool import pools
from grads.report.registry import selection_figures, selection_tables
from grads.report.rendering.render import write_table
from grads.runtime.errors import GradsError
from grads.runtime.progress import say


def make_selection_tables(study: Study, files: Sequence[SelectionFiles], tables: Path, figures: Path) -> None:
    """Write every table of what was selected to `tables`, and every figure of it to `figures`.

    Raises:
        GradsError: a file is missing.
    """
    if missing := [path for one in files for path in one.paths if not path.exists()]:
        raise GradsError(f"{missing[0]} is missing; run the workflow again to make it")
    _make(study, files, tables, figures)


def make_partial_selections(study: Study, files: Sequence[SelectionFiles], out: Path) -> list[Path]:
    """Write the same of the selections that are there, stamped, to `tables/` and `figures/` in `out`; return these.

    Where an arm at a ratio lacks the selection of a seed, a dash stands for the rest: means over other seeds would not
    compare. Nothing is written where no selection is there.
    """
    there = [one for one in files if all(path.exists() for path in one.paths)]
    if not there:
        return []
    label = f"PARTIAL: {len(there)} of {len(files)} selections. {study.label}"
    _make(study.model_copy(update={"label": label}), there, out / "tables", out / "figures")
    return [out / "tables", out / "figures"]


def _make(study: Study, files: Sequence[SelectionFiles], tables: Path, figures: Path) -> None:
    shown_tables = selection_tables()
    shown_figures = selection_figures(files)
    # A figure may show what a table says: that is gathered once.
    gathering = [*(table.gather for table in shown_tables), *(figure.gather for figure in shown_figures)]
    gathered: dict[Any, list[Any]] = {gather: [] for gather in gathering}
    for pool in pools(study, files):
        say(f"selections: {pool.model}/{pool.domain}")
        for gather, facts in gathered.items():
            facts += gather(study, pool)
    for table in shown_tables:
        write_table(table.build(study, gathered[table.gather]), tables / table.name)
    for figure in shown_figures:
        write_figure(figure.draw(study, gathered[figure.gather]), figures / figure.name)
