"""The table of what was learnt: domain metrics on held-out test records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.config.study import Study
from grads.report.contract import MeasuredTable

if TYPE_CHECKING:
    from grads.report.rendering.layout import Table
    from grads.report.statistics.estimates import Estimates


def build(study: Study, estimates: Estimates) -> Table:
    """Return the table."""
    from grads.report.building.domain import domain_table

    return domain_table(study, estimates)


TABLE = MeasuredTable(
    name="domain",
    title="Domain",
    order=20,
    build=build,
    caption="""
What was learnt: BLEU (sacrebleu), METEOR (nltk), chrF (sacrebleu) and the negative log-likelihood of the reference
answer (NLL, nats per token) on
{% set splits = snakemake.config["splits"] %}
{% if splits.get("tuning") %}{{ splits["validation"] }} validation records{% else %}
{{ splits["test"] }} held-out records{% endif %} of the domain that the model was tuned on, answered greedily. ± is
half the 95 % interval: over test items below three seeds, over items and seeds from three on. Two arms whose
intervals overlap may still differ; f+ and r+ mark what is surely better
than full data and than a random subset of equal size, l+ than one of equal lengths, s+ than fresh records for as
many optimiser steps, f\u2212, r\u2212, l\u2212 and s\u2212 what is worse: from three seeds on. The mean over
domains counts each alike, and is about these domains.
""",
)
