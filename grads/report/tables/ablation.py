"""The table of switches: what each parameter of a method is worth, against the arm that has all defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable
from grads.study.switches import variants

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def when(study: Study) -> bool:
    """Whether an arm is a variant of another."""
    return bool(variants(study))


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.ablation import ablation_table

    return ablation_table(study, estimates)


TABLE = MeasuredTable(
    name="ablation",
    title="Ablation",
    order=70,
    build=build,
    when=when,
    caption="""
What each switch of a method is worth: differences of its variants to the arm that has all of its defaults, at the
same keep ratio.
""",
)
