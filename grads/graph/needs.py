"""What a study's arms need as a whole, to select and to train: checked and known before any work."""

from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from grads.config.study import Study
from grads.config.yaml_file import read_yaml
from grads.data.layouts.registry import REGISTRY as LAYOUTS
from grads.evaluation.metrics.registry import REGISTRY as METRICS
from grads.evaluation.metrics.registry import check_metrics
from grads.report.registry import FIGURES, TABLES
from grads.runtime.errors import GradsError, check_all
from grads.runtime.registry import Registry
from grads.selection import needs as selecting
from grads.selection.registry import REGISTRY as METHODS
from grads.signals.measures.registry import REGISTRY as SIGNALS
from grads.study.claim_sentences import read_claims
from grads.study.naming import check_files
from grads.study.paths import REWRITTEN
from grads.study.published import read_published
from grads.study.reading import parse_study
from grads.training import needs as training
from grads.training.strategies.registry import REGISTRY as STRATEGIES


def checked_study(config: Path | str) -> Study:
    """Read a study's file and check all that can be known before any work.

    Raises:
        GradsError: all that is wrong.
    """
    study = parse_study(read_yaml(config), str(config))
    check_declared()
    try:
        check_study(study)
    except GradsError as error:
        raise error.after(config) from None
    return study


def check_study(study: Study) -> None:
    """Check what a valid config asks for: methods, strategies, metrics, claims, and the files that it names,
    of which the first rows are read.

    Raises:
        GradsError: all that is wrong.
    """
    from grads.data.preview import check_data
    from grads.models.shape import check_shapes

    check_declared()
    checks = (check_arms, check_metrics, check_files, read_claims, read_published, check_data, check_shapes)
    curves = partial(training.check_curves, study.training)
    check_all([*(partial(check, study) for check in checks), curves])


def check_declared() -> None:
    """Refuse files that declare methods, metrics and the like, of this package or another one, and are broken.

    Every command that reads a study reads them all, so this is said once, and of no arm or config.

    Raises:
        GradsError: the first broken one of each kind.
    """
    registries: list[Registry[Any]] = [METHODS, STRATEGIES, METRICS, SIGNALS, LAYOUTS, TABLES, FIGURES]
    check_all(registry.all for registry in registries)


def check_arms(study: Study) -> None:
    """Refuse arms that could not run.

    Raises:
        GradsError: an arm could not select, could not train, or has a strategy that makes no sense for its method.
    """
    check_all(partial(check, study) for check in (selecting.check_arms, training.check_strategies, _check_matches))


def _check_matches(study: Study) -> None:
    for arm, declared in study.arms.items():
        if not selecting.arm_method(study, arm).equal_steps:
            continue
        if declared.match != "epochs":
            raise GradsError(
                f"arms.{arm}.match: method '{declared.method}' trains for the steps of its ratio's subset, and for "
                f"no other '{declared.match}': remove the key"
            )
        for key in ("epochs", "stop"):
            if getattr(declared.training, key) is not None:
                raise GradsError(
                    f"arms.{arm}.training.{key}: method '{declared.method}' trains for the steps of its ratio's "
                    "subset, which has the study's epochs: remove the key"
                )


def measures(study: Study, store: str, model: str) -> list[str]:
    """Return all that a model's store must hold for methods and strategies, sorted: one pass serves them all."""
    found = set(selecting.measures(study, store, model))
    for stores in _strategy_stores(study, model):
        found.update(stores.get(store, ()))
    return sorted(found)


def model_stores(study: Study, model: str) -> list[str]:
    """Return the signal stores that the study's arms need of a model, its own answers among them, sorted."""
    asked = model in study.models and any(training.strategy_needs(study, arm).own_answers for arm in study.arms)
    own = [REWRITTEN] if asked else []
    return sorted({*selecting.model_stores(study, model), *chain(*_strategy_stores(study, model)), *own})


def arm_stores(study: Study, arm: str) -> list[str]:
    """Return the signal stores that an arm needs to select and to train, sorted.

    Those of the arms that it refers to are included, and of the one whose run it scales.
    """
    needs = training.strategy_needs(study, arm)
    own = [REWRITTEN] if needs.own_answers else []
    scaled = [] if needs.run is None else arm_stores(study, needs.run)
    return sorted({*selecting.arm_stores(study, arm), *needs.stores, *own, *scaled})


def _strategy_stores(study: Study, model: str) -> list[Mapping[str, frozenset[str]]]:
    """Return what each arm's strategy needs of a model: of one that is only a scorer, nothing."""
    return [training.strategy_needs(study, arm).stores for arm in study.arms if model in study.models]
