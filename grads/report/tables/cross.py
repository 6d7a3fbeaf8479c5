"""The table of tests across domains: what tuning on one domain does to the answers on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def when(study: Study) -> bool:
    """Whether models answer the test sets of other domains."""
    return study.evaluation.cross_domain and len(study.domains) > 1


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.cross import cross_table

    return cross_table(study, estimates)


TABLE = MeasuredTable(
    name="cross",
    title="Cross",
    order=60,
    build=build,
    when=when,
    caption="""
What tuning on one domain does to the others: every model answers the test sets of all domains. Blocks are the
domains tuned on, columns those tested on; compare a row with the untuned model's on the same test set.
""",
)
