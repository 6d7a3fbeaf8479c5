"""The registry: every file of this package that declares a `METRIC`."""

import functools
import importlib
import pkgutil
from collections.abc import Iterable
from operator import attrgetter

from grads.evaluate.metrics.contract import Metric
from grads.runtime.errors import GradsError, nearest
from grads.study import declared
from grads.study.config import Study

# Modules of this package that declare no metric. Named, so that a file that forgets its `METRIC` is noticed.
HELPERS = ("compute", "contract", "registry", "words")


@functools.cache
def metrics() -> dict[str, Metric]:
    """Return all metrics by name, in alphabetical order."""
    return {name: metric for name, (metric, _module) in _declared().items()}


def find_metric(name: str) -> Metric:
    """Return a metric.

    Raises:
        GradsError: there is none of that name.
    """
    if name not in metrics():
        raise GradsError(f"there is no metric '{name}': {nearest(name, metrics())}")
    return metrics()[name]


def module_of(name: str) -> str:
    """Return the module that declares a metric, for its code version."""
    find_metric(name)
    return _declared()[name][1]


def check_metrics(study: Study) -> None:
    """Refuse a study whose domain metrics do not exist or lack what they read.

    Raises:
        GradsError: the first such metric.
    """
    names = study.evaluation.metrics
    for number, name in enumerate(names):
        if name not in metrics():
            raise GradsError(f"'evaluation.metrics.{number}': there is no metric '{name}': {nearest(name, metrics())}")
        if name in names[:number]:
            raise GradsError(f"'evaluation.metrics.{number}': '{name}' is listed twice: remove one")
        wanting = [key for key, domain in study.domains.items() if find_metric(name).needs_wordnet(domain.language)]
        if wanting and study.evaluation.wordnet is None:
            raise GradsError(
                f"metric '{name}' needs 'evaluation.wordnet' for domain '{wanting[0]}': name an archive with WordNet "
                "3.0 there"
            )


@functools.cache
def _declared() -> dict[str, tuple[Metric, str]]:
    package = importlib.import_module("grads.evaluate.metrics")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return collect(f"grads.evaluate.metrics.{name}" for name in names if name not in HELPERS)


def collect(modules: Iterable[str]) -> dict[str, tuple[Metric, str]]:
    """Return the metrics that the named modules declare, each with its module, sorted by name.

    Raises:
        ValueError: a module declares no metric, or one of a name that another has.
    """
    helpers = "grads.evaluate.metrics.registry.HELPERS"
    return declared.collect(modules, "METRIC", Metric, attrgetter("name"), helpers)
