"""The table of what was forgotten: general benchmarks, and drift on general text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.forgetting import forgetting_table

    return forgetting_table(study, estimates)


TABLE = MeasuredTable(
    name="forgetting",
    title="Forgetting",
    order=30,
    build=build,
    caption="""
What was forgotten: accuracy on samples of {{ tasks }} (lm-eval), and its difference to the untuned model with an
interval over the same items for both. Accuracy of small models moves late; the log-probability of the right answer
among the choices and the drift on general text (change of NLL, bits per byte, and KL from the untuned model) move
first. The mean over tasks hides what changed both ways: right to wrong and wrong to right, less what guessing
gives. Retention is what is left of the untuned model's accuracy, above chance what is left of its lead over
guessing, and vs full the change against tuning on all records.
""",
)
