"""The registry: every file of this package that declares a `METRIC`."""

from collections.abc import Iterable
from functools import partial

from grads.config.study import Study
from grads.evaluation.metrics.contract import Metric
from grads.runtime.errors import GradsError, check_all, nearest
from grads.runtime.registry import Registry

HELPERS = ("compute", "contract", "registry", "tokenizing")
REGISTRY = Registry("grads.evaluation.metrics", "METRIC", Metric, "there is no metric", HELPERS, "grads.metrics")
metrics = REGISTRY.all
find_metric = REGISTRY.find
module_of = REGISTRY.module_of


def computed(names: Iterable[str]) -> list[str]:
    """Return those metrics that are computed from predictions; the others come from a file of one's own.

    Raises:
        GradsError: there is no metric of a name.
    """
    return [name for name in names if not find_metric(name).judged]


def check_metrics(study: Study) -> None:
    """Refuse a study whose domain metrics do not exist or lack what they read.

    Raises:
        GradsError: all such metrics.
    """
    names = study.evaluation.metrics
    checks = [partial(_check_metric, study, number, name) for number, name in enumerate(names)]
    check_all([*checks, partial(_check_judgements, study)])


def _check_judgements(study: Study) -> None:
    known = [name for name in study.evaluation.metrics if name in metrics()]
    judged = [name for name in known if find_metric(name).judged]
    if judged and study.evaluation.verdicts is None:
        raise GradsError(
            f"metric '{judged[0]}' needs 'evaluation.verdicts': name a file with a judgement on each answer there, or "
            "remove the metric"
        )
    if not judged and study.evaluation.verdicts is not None:
        raise GradsError("'evaluation.verdicts' is read for the metric 'verdict': add it to 'evaluation.metrics'")
    if study.evaluation.cross_domain and judged == study.evaluation.metrics:
        raise GradsError(
            "'evaluation.cross_domain': judgements are on answers to a domain's own test, and 'evaluation.metrics' has "
            "nothing else: add a metric that is computed"
        )


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
