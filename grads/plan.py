"""What a study's arms need as a whole, to select and to train: checked and known before any work."""

from collections.abc import Mapping
from itertools import chain

from grads.methods import plan as selecting
from grads.runtime.errors import GradsError
from grads.study.config import Study
from grads.train import plan as training


def check_arms(study: Study) -> None:
    """Refuse arms that could not run.

    Raises:
        GradsError: an arm could not select, could not train, or has a strategy that makes no sense for its method.
    """
    selecting.check_arms(study)
    training.check_strategies(study)
    for arm, declared in study.arms.items():
        if declared.match != "epochs" and selecting.arm_method(study, arm).equal_steps:
            raise GradsError(
                f"arms.{arm}.match: method '{declared.method}' trains for the steps of its ratio's subset, and for "
                f"no other '{declared.match}': remove the key"
            )


def measures(study: Study, store: str, model: str) -> list[str]:
    """Return all that a model's store must hold for methods and strategies, sorted: one pass serves them all."""
    found = set(selecting.measures(study, store, model))
    for stores in _strategy_stores(study, model):
        found.update(stores.get(store, ()))
    return sorted(found)


def model_stores(study: Study, model: str) -> list[str]:
    """Return the signal stores that the study's arms need of a model, sorted."""
    return sorted({*selecting.model_stores(study, model), *chain(*_strategy_stores(study, model))})


def arm_stores(study: Study, arm: str) -> list[str]:
    """Return the signal stores that an arm needs to select and to train, those of its references included, sorted."""
    return sorted({*selecting.arm_stores(study, arm), *training.strategy_needs(study, arm).stores})


def _strategy_stores(study: Study, model: str) -> list[Mapping[str, frozenset[str]]]:
    """Return what each arm's strategy needs of a model: of one that is only a scorer, nothing."""
    return [training.strategy_needs(study, arm).stores for arm in study.arms if model in study.models]
