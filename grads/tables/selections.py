"""The stage of selections: from what methods chose to the tables and the figure that look at it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grads.runtime.errors import GradsError
from grads.runtime.progress import say
from grads.study.config import Study
from grads.tables.chosen import pools
from grads.tables.extremes import extreme_facts, extreme_table
from grads.tables.figures import write_figure
from grads.tables.files import SelectionFiles
from grads.tables.heatmap import overlap_figure
from grads.tables.overlap import overlap_facts, overlap_table
from grads.tables.render import write_table
from grads.tables.subsets import subset_facts, subset_table

_FACTS = {"overlap": overlap_facts, "subsets": subset_facts, "extremes": extreme_facts}
_TABLES = {"overlap": overlap_table, "subsets": subset_table, "extremes": extreme_table}


def make_selection_tables(study: Study, files: Sequence[SelectionFiles], tables: Path, figures: Path) -> None:
    """Write the tables `overlap`, `subsets` and `extremes`, and the figure `overlap`.

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
    facts: dict[str, list[dict[str, object]]] = {name: [] for name in _FACTS}
    for pool in pools(study, files):
        say(f"selections: {pool.model}/{pool.domain}")
        for name, find in _FACTS.items():
            facts[name] += find(study, pool)
    for name, build in _TABLES.items():
        write_table(build(study, pd.DataFrame(facts[name])), tables / name)
    write_figure(overlap_figure(study, pd.DataFrame(facts["overlap"])), figures / "overlap")
