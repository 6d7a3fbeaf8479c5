"""Response NLL: how unlikely the model finds the reference answer, measured by evaluation."""

from grads.evaluation.metrics.contract import Metric, Result, Rows, Setting, mean_result


def compute(rows: Rows, setting: Setting) -> Result:
    """Return the mean over items of the reference's negative log-likelihood per token (nats), end of turn included.

    It is that of the record's own answer; further references play no part.
    """
    return mean_result([row["response_nll"] for row in rows])


METRIC = Metric(
    name="response_nll",
    title="NLL",
    decimals=3,
    higher_is_better=False,
    source="mean negative log-likelihood per token, in nats",
    compute=compute,
    fields=("response_nll",),
)
