"""The table of extremes: the records that each arm ranked first and last, and what its method knew of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grads.config.study import Study
from grads.report.contract import SelectionTable

if TYPE_CHECKING:
    from grads.report.pool import Pool
    from grads.report.rendering.layout import Table


def gather(study: Study, pool: Pool) -> list[dict[str, Any]]:
    """Return what the table has of a pool, a dictionary a row."""
    from grads.report.building.extremes import extreme_facts

    return extreme_facts(study, pool)


def build(study: Study, facts: list[dict[str, Any]]) -> Table:
    """Return the table."""
    from grads.data.frames import frame_of
    from grads.report.building.extremes import COLUMNS, extreme_table

    return extreme_table(study, frame_of(facts, COLUMNS))


TABLE = SelectionTable(
    name="extremes",
    title="Extremes (table)",
    order=30,
    gather=gather,
    build=build,
    latex=False,
    caption="""
The records that each arm ranked first and last, with the score and the signals that its method read: the quickest
way to see what a score rewards, and whether it is noise, boilerplate or broken records.
""",
)
