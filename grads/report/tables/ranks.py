"""The table of average ranks over models and domains, with the difference that is critical."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable
from grads.report.files import LEAST_BLOCKS

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def when(study: Study) -> bool:
    """Whether there are enough pairs of a model and a domain to rank arms over."""
    return len(study.models) * len(study.domains) >= LEAST_BLOCKS


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.ranks import ranks_table

    return ranks_table(study, estimates)


TABLE = MeasuredTable(
    name="ranks",
    title="Ranks",
    order=90,
    build=build,
    when=when,
    caption="""
Average ranks of the arms of each ratio over all pairs of a model and a domain, 1 being the best. Two arms whose
average ranks differ by no more than the critical difference (Nemenyi, 5 %) are not told apart.
""",
)
