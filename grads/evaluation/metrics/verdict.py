"""Verdict: what a person or another model says of each answer, in a file of one's own (`evaluation.verdicts`)."""

from grads.evaluation.metrics.contract import Metric, Result, Rows, Setting, mean_result


def compute(rows: Rows, setting: Setting) -> Result:
    """Return the mean over items of the judgements, from 0 (the worst there is) to 1 (the best)."""
    return mean_result([row["verdict"] for row in rows])


METRIC = Metric(
    name="verdict",
    title="Verdict",
    decimals=3,
    higher_is_better=True,
    source="judged by others; 0 the worst, 1 the best",
    compute=compute,
    fields=("verdict",),
    judged=True,
)
