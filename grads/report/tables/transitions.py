"""The table of transitions: which answers to general benchmarks changed between the untuned and the tuned models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def when(study: Study) -> bool:
    """Whether there are benchmarks, an untuned model and tuned ones."""
    trained = [arm.method != "untuned" for arm in study.arms.values()]
    return bool(study.general.tasks) and any(trained) and not all(trained)


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.transitions import transitions_table

    return transitions_table(study, estimates)


TABLE = MeasuredTable(
    name="transitions",
    title="Transitions",
    order=50,
    build=build,
    when=when,
    caption="""
Which answers changed from the untuned model to the tuned ones, on samples of {{ tasks }} (lm-eval): shares of items
that went from right to wrong, which is forgetting, and from wrong to right, each less what two models that guess
would change. Their difference is the change of accuracy. The Brier score says how far the probabilities of the
choices are from the right answer; less is better.
""",
)
