"""The table of overlaps: how far methods choose the same records, and what chance would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grads.config.study import Study
from grads.report.contract import SelectionTable

if TYPE_CHECKING:
    from grads.report.pool import Pool
    from grads.report.rendering.layout import Table


def gather(study: Study, pool: Pool) -> list[dict[str, Any]]:
    """Return what the table has of a pool, a dictionary a row."""
    from grads.report.building.overlap import overlap_facts

    return overlap_facts(study, pool)


def build(study: Study, facts: list[dict[str, Any]]) -> Table:
    """Return the table."""
    from grads.data.frames import frame_of
    from grads.report.building.overlap import COLUMNS, overlap_table

    return overlap_table(study, frame_of(facts, COLUMNS))


TABLE = SelectionTable(
    name="overlap",
    title="Overlap (table)",
    order=10,
    gather=gather,
    build=build,
    caption="""
Do methods choose the same records? For each pair of arms at a ratio, the Jaccard index of what they keep, the
number that both keep over the number that either keeps, next to what two independent random draws of these sizes
would have on average: large subsets share many records by chance, so only the excess says something. Spearman is
the rank correlation of the scores of all eligible records. In the figure the index stands below the diagonal, with
chance in brackets, and the correlation above; an arm meets itself under another seed. Orange agrees more than
chance, purple less.
""",
)
