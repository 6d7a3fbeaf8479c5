"""Domain metrics as tables and figures show them: what each metric's own file declares."""

from grads.config.study import Study
from grads.evaluation.metrics.registry import computed, metrics, module_of

MEASURES = metrics()
LEAST_BLEU_BASELINE = 5.0
"""Below this BLEU a relative gain says nothing: 0.2 to 1.0 would be +400 %."""


def computed_metrics(study: Study) -> list[str]:
    """Return the domain metrics that are computed from answers, whichever test they are to."""
    return computed(study.evaluation.metrics)


def judged_metrics(study: Study) -> list[str]:
    """Return the domain metrics that come from judgements on a domain's own test."""
    return [name for name in study.evaluation.metrics if MEASURES[name].judged]


def metric_modules(study: Study) -> list[str]:
    """Return the modules that declare the study's domain metrics."""
    return [module_of(name) for name in study.evaluation.metrics]
