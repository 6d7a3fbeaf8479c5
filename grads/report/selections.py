"""The stage of selections: from what methods chose to the tables and the figure that look at it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from grads.config.study import Study
from grads.report.drawing.style import write_figure
from grads.report.figures.heatmap import overlap_figure
from grads.report.figures.magnitudes import magnitude_figure, magnitudes_of
from grads.report.files import SelectionFiles, selection_figures
from grads.report.pool import Pool, pools
from grads.report.rendering.layout import Table
from grads.report.rendering.render import write_table
from grads.report.tables import extremes, overlap, subsets
from grads.runtime.errors import GradsError
from grads.runtime.progress import say


@dataclass(frozen=True)
class _Look:
    """What is found of a pool, the columns that all of it has, and the table of it."""

    find: Callable[[Study, Pool], list[dict[str, Any]]]
    columns: Sequence[str]
    table: Callable[[Study, pd.DataFrame], Table]


_LOOKS = {
    "overlap": _Look(overlap.overlap_facts, overlap.COLUMNS, overlap.overlap_table),
    "subsets": _Look(subsets.subset_facts, subsets.COLUMNS, subsets.subset_table),
    "extremes": _Look(extremes.extreme_facts, extremes.COLUMNS, extremes.extreme_table),
}


def make_selection_tables(study: Study, files: Sequence[SelectionFiles], tables: Path, figures: Path) -> None:
    """Write the tables `overlap`, `subsets` and `extremes`, and the figures `overlap` and `magnitudes`.

    The latter only where a method reads norms of gradients.

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
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in _LOOKS}
    magnitudes = []
    for pool in pools(study, files):
        say(f"selections: {pool.model}/{pool.domain}")
        for name, look in _LOOKS.items():
            found[name] += look.find(study, pool)
        magnitudes += magnitudes_of(study, pool)
    for name, look in _LOOKS.items():
        facts = pd.DataFrame(found[name], columns=None if found[name] else list(look.columns))
        write_table(look.table(study, facts), tables / name)
        if name == "overlap":
            write_figure(overlap_figure(study, facts), figures / name)
    if "magnitudes" in selection_figures(files):
        write_figure(magnitude_figure(study, magnitudes), figures / "magnitudes")
