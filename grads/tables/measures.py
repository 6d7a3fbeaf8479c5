"""Domain metrics as tables and figures show them: what each metric's own file declares."""

from grads.evaluate.metrics.registry import metrics

MEASURES = metrics()
