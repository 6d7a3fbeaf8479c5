"""The table of claims: what was said of the arms, and whether the measurements bear it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def when(study: Study) -> bool:
    """Whether the study claims something."""
    return bool(study.claims)


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from dataclasses import replace

    from grads.report.building.claims import claims_table
    from grads.report.seal import seal_notes

    table = claims_table(study, estimates)
    return replace(table, notes=[*table.notes, *seal_notes(study)])


TABLE = MeasuredTable(
    name="claims",
    title="Claims",
    order=80,
    build=build,
    when=when,
    caption="""
What was said of the arms, and whether the measurements bear it out. A verdict is *supported* where the interval of
the difference, corrected for the number of claims, lies above 0, *refuted* where it lies below, *no larger than* a
size that would matter where it lies within that, else *undecided*; with fewer than three seeds there is none. Rows
over all domains are tested first, those of single domains where theirs comes out. Published differences stand next
to ours, from other models and data. A note says whether all was sealed before the cells were evaluated.
""",
)
