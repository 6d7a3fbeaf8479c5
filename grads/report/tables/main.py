"""The main table, as a paper would print it: a row per arm and ratio, one metric by domain, and forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.main import main_table

    return main_table(study, estimates)


TABLE = MeasuredTable(
    name="main",
    title="Main",
    order=10,
    build=build,
    caption="""
What a paper would print: for each arm and ratio the study's first metric on each domain that models were tuned on
and its mean over domains, the mean accuracy over the general benchmarks with its difference to the untuned model in
brackets, and the drift on general text, KL from the untuned model, both over all domains. ± is half the 95 %
interval. From three seeds on f+ and r+ mark what is surely better than full data and than a random subset of equal
size, l+ than one of equal lengths, s+ than fresh records for as many steps; f\u2212, r\u2212, l\u2212 and s\u2212 what
is worse. All metrics and all benchmarks are in the tables domain and forgetting.
""",
)
