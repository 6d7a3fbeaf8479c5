"""The table of costs, with what runs shared charged twice: whole to each, and divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.cost import cost_table

    return cost_table(study, estimates)


TABLE = MeasuredTable(
    name="cost",
    title="Cost",
    order=40,
    build=build,
    caption="""
What it cost: size and duration of the training, and what the selection took before it. *Standalone* is what a user
of that one method would spend (preliminary epoch, gradient probe, base pass, choosing); *as run* divides what
several runs shared here among them. Seconds depend on the machine and on what else ran on it. FLOPs are counted
from parameters and tokens: a pass of training with an adapter takes 4 a parameter and token, with all weights 6, a
probe with gradients 4, without 2.
""",
)
