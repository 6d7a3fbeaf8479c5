"""The table of subsets: how long and how hard the records are that each arm kept, next to the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grads.config.study import Study
from grads.report.contract import SelectionTable

if TYPE_CHECKING:
    from grads.report.pool import Pool
    from grads.report.rendering.layout import Table


def gather(study: Study, pool: Pool) -> list[dict[str, Any]]:
    """Return what the table has of a pool, a dictionary a row."""
    from grads.report.building.subsets import subset_facts

    return subset_facts(study, pool)


def build(study: Study, facts: list[dict[str, Any]]) -> Table:
    """Return the table."""
    from grads.data.frames import frame_of
    from grads.report.building.subsets import COLUMNS, subset_table

    return subset_table(study, frame_of(facts, COLUMNS))


TABLE = SelectionTable(
    name="subsets",
    title="Subsets (table)",
    order=20,
    gather=gather,
    build=build,
    caption="""
What sort of records did each arm keep? Length of the answer in tokens and its negative log-likelihood (NLL), of the
subset next to the pool: mean, median, first and ninth decile, the difference of the means in standard deviations of
the pool, and the Kolmogorov-Smirnov distance. A method whose subset is much longer or shorter than the pool has to
be compared with *random_length*, for length alone changes what training does.
""",
)
