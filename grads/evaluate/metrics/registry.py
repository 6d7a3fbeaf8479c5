"""The registry: every file of this package that declares a `METRIC`."""

from functools import partial

from grads.evaluate.metrics.contract import Metric
from grads.runtime.errors import GradsError, check_all, nearest
from grads.study.config import Study
from grads.study.declared import Registry

HELPERS = ("compute", "contract", "registry", "words")
REGISTRY = Registry("grads.evaluate.metrics", "METRIC", Metric, "there is no metric", HELPERS)
metrics, find_metric, module_of = REGISTRY.all, REGISTRY.find, REGISTRY.module_of


def check_metrics(study: Study) -> None:
    """Refuse a study whose domain metrics do not exist or lack what they read.

    Raises:
        GradsError: all such metrics.
    """
    names = study.evaluation.metrics
    check_all(partial(_check_metric, study, number, name) for number, name in enumerate(names))


def _check_metric(study: Study, number: int, name: str) -> None:
    if name not in metrics():
        raise GradsError(f"'evaluation.metrics.{number}': there is no metric '{name}': {nearest(name, metrics())}")
    if name in study.evaluation.metrics[:number]:
        raise GradsError(f"'evaluation.metrics.{number}': '{name}' is listed twice: remove one")
    wanting = [key for key, domain in study.domains.items() if find_metric(name).needs_wordnet(domain.language)]
    if wanting and study.evaluation.wordnet is None:
        raise GradsError(
            f"metric '{name}' needs 'evaluation.wordnet' for domain '{wanting[0]}': name an archive with WordNet "
            "3.0 there, or remove the metric"
        )
