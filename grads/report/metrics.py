"""Domain metrics as tables and figures show them: what each metric's own file declares."""

from grads.config.study import Study
from grads.evaluation.metrics.registry import computed, metrics

MEASURES = metrics()


def computed_metrics(study: Study) -> list[str]:
    """Return the domain metrics that are computed from answers, whichever test they are to."""
    return computed(study.evaluation.metrics)


def judged_metrics(study: Study) -> list[str]:
    """Return the domain metrics that come from verdicts on a domain's own test."""
    return [name for name in study.evaluation.metrics if MEASURES[name].judged]
