"""What a study's arms need as a whole, to select and to train: checked and known before any work."""

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


def measures(study: Study, store: str) -> list[str]:
    """Return all that a signal store must hold for methods and strategies of the study, sorted: one pass serves all."""
    found = set(selecting.measures(study, store))
    for arm in study.arms:
        found.update(training.strategy_needs(study, arm).stores.get(store, ()))
    return sorted(found)


def arm_stores(study: Study, arm: str) -> list[str]:
    """Return the signal stores that an arm needs to select and to train, those of its references included, sorted."""
    return sorted({*selecting.arm_stores(study, arm), *training.strategy_needs(study, arm).stores})
