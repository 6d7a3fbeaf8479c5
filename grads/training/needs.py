"""What the strategies of a study's arms need before they can train: checked and known before any work."""

import importlib.util
from functools import partial

from grads.config.arms import Arm
from grads.config.study import Study
from grads.config.training import Training
from grads.runtime.errors import GradsError, check_all, nearest
from grads.study.grid import arm_ratios
from grads.training.strategies.contract import Needs, Parameters, Strategy
from grads.training.strategies.registry import find_strategy, parse_parameters

SHARED = frozenset(Arm.model_fields) - {"strategy", "strategy_parameters", "ratios"}
"""What an arm that scales another one's run says as that one does."""


def arm_strategy(study: Study, arm: str) -> tuple[Strategy, Parameters]:
    """Return the training strategy of an arm, and its parameters.

    Raises:
        GradsError: there is no such strategy, or a parameter is unknown or not allowed.
    """
    declared = study.arms[arm]
    try:
        strategy = find_strategy(declared.strategy)
    except GradsError as error:
        raise error.after(f"arms.{arm}.strategy") from None
    try:
        return strategy, parse_parameters(strategy, declared.strategy_parameters)
    except GradsError as error:
        raise error.after(f"arms.{arm}.strategy_parameters") from None


def arm_training(study: Study, arm: str) -> Training:
    """Return the settings that an arm trains with: the study's, as the arm itself and its strategy change them.

    Raises:
        GradsError: the strategy does not go with them.
    """
    strategy, parameters = arm_strategy(study, arm)
    return strategy.settings(study.arms[arm].training.applied(study.training), parameters)


def strategy_needs(study: Study, arm: str) -> Needs:
    """Return what the arm's strategy needs."""
    strategy, parameters = arm_strategy(study, arm)
    return strategy.needs(parameters)


def check_curves(training: Training) -> None:
    """Refuse settings that ask for curves where nothing can write them.

    Raises:
        GradsError: the package is not installed.
    """
    if training.tensorboard:
        check_tensorboard()


def check_tensorboard() -> None:
    """Refuse to write curves without the package.

    Raises:
        GradsError: it is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise GradsError(
            "training.tensorboard: the package tensorboard is not installed: pip install tensorboard, or remove the key"
        )


def check_strategies(study: Study) -> None:
    """Refuse arms that could not be trained so.

    Raises:
        GradsError: an unknown strategy or parameter, one that does not go with the study's training settings, general
            records or another arm's run that the study does not have, or a strategy of an arm that trains nothing.
    """
    check_all(partial(_check_strategy, study, arm) for arm in study.arms)


def _check_strategy(study: Study, arm: str) -> None:
    declared = study.arms[arm]
    strategy, parameters = arm_strategy(study, arm)
    for key in ("strategy", "strategy_parameters", "match", "training"):
        if arm_ratios(study, arm) == ["0"] and key in declared.model_fields_set:
            raise GradsError(f"arms.{arm}.{key}: method '{declared.method}' trains nothing: remove the key")
    _check_own(study, arm)
    try:
        arm_training(study, arm)
    except GradsError as error:
        raise error.after(f"arms.{arm}.strategy") from None
    needs = strategy.needs(parameters)
    if needs.test_prompts:
        _check_test_prompts(study, arm)
    if needs.replay or needs.fisher:
        _check_replay(study, arm)
    if needs.run is not None:
        _check_run(study, arm, needs.run)


def _check_own(study: Study, arm: str) -> None:
    """Refuse settings of an arm's own that nothing would read, or that another key of it promises to be the study's."""
    declared = study.arms[arm]
    shape = declared.training.adapter.model_dump(exclude_none=True)
    if shape and study.training.weights != "lora":
        raise GradsError(
            f"arms.{arm}.training.adapter: training.weights is '{study.training.weights}', and there is no adapter: "
            "remove the key, or set training.weights to lora"
        )
    if declared.start == "warm" and (fixed := sorted(shape.keys() - {"dropout"})):
        raise GradsError(
            f"arms.{arm}.training.adapter.{fixed[0]}: with start: warm it goes on with the adapter of the preliminary "
            "epoch, which has the study's shape: remove one of the two"
        )
    for key in ("epochs", "stop"):
        if declared.match != "epochs" and getattr(declared.training, key) is not None:
            raise GradsError(
                f"arms.{arm}.training.{key}: match: {declared.match} says how long the run is, that of the study's "
                "plain run: remove one of the two"
            )


def _check_test_prompts(study: Study, arm: str) -> None:
    """Refuse what would say of an arm that it learns from what it does not, or longer than it may."""
    declared = study.arms[arm]
    if declared.method != "full":
        raise GradsError(
            f"arms.{arm}.method: strategy '{declared.strategy}' learns from the prompts of the test set and from no "
            "record that a method keeps: set the method to full"
        )
    if declared.match != "epochs":
        raise GradsError(
            f"arms.{arm}.match: strategy '{declared.strategy}' visits each prompt of the test set as often as "
            "training.epochs says: remove the key"
        )


def _check_replay(study: Study, arm: str) -> None:
    instructions = study.general.instructions
    if instructions is None or not instructions.replay:
        raise GradsError(
            f"arms.{arm}.strategy: '{study.arms[arm].strategy}' reads general records, and the study draws none: "
            "set general.instructions with replay above 0"
        )


def _check_run(study: Study, arm: str, other: str) -> None:
    """Refuse to scale a run of another arm that is not there, or that keeps other records than the arm itself."""
    if other not in study.arms:
        raise GradsError(
            f"arms.{arm}.strategy_parameters: it scales the run of the arm '{other}': {nearest(other, study.arms)}"
        )
    declared = study.arms[arm]
    source = study.arms[other]
    if arm_ratios(study, other) == ["0"] or strategy_needs(study, other).run is not None:
        raise GradsError(
            f"arms.{arm}.strategy_parameters: it scales the run of the arm '{other}', which trains nothing itself: "
            "name an arm that does"
        )
    for key in sorted(SHARED):
        if getattr(declared, key) != getattr(source, key):
            raise GradsError(
                f"arms.{arm}.{key}: the arm is the run of '{other}' scaled, and has to say the same as that one, but "
                "for strategy and ratios: copy the key from there"
            )
    if missing := [ratio for ratio in arm_ratios(study, arm) if ratio not in arm_ratios(study, other)]:
        raise GradsError(f"arms.{other}.ratios: arm '{arm}' scales its run at {missing[0]}: add that ratio")
