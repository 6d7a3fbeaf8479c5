"""What the strategies of a study's arms need before they can train: checked and known before any work."""

from functools import partial

from grads.config.study import Study
from grads.runtime.errors import GradsError, check_all
from grads.study.grid import arm_ratios
from grads.training.strategies.contract import Needs, Parameters, Strategy
from grads.training.strategies.registry import find_strategy, parse_parameters


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


def strategy_needs(study: Study, arm: str) -> Needs:
    """Return what the arm's strategy needs."""
    strategy, parameters = arm_strategy(study, arm)
    return strategy.needs(parameters)


def check_strategies(study: Study) -> None:
    """Refuse arms that could not be trained so.

    Raises:
        GradsError: an unknown strategy or parameter, one that does not go with the study's training settings, general
            records that the study does not have, or a strategy of an arm that trains nothing.
    """
    check_all(partial(_check_strategy, study, arm) for arm in study.arms)


def _check_strategy(study: Study, arm: str) -> None:
    declared = study.arms[arm]
    strategy, parameters = arm_strategy(study, arm)
    for key in ("strategy", "strategy_parameters", "match"):
        if arm_ratios(study, arm) == ["0"] and key in declared.model_fields_set:
            raise GradsError(f"arms.{arm}.{key}: method '{declared.method}' trains nothing: remove the key")
    try:
        strategy.settings(study.training, parameters)
    except GradsError as error:
        raise error.after(f"arms.{arm}.strategy") from None
    if strategy.needs(parameters).test_prompts:
        _check_test_prompts(study, arm)
    if strategy.needs(parameters).replay:
        _check_replay(study, arm)


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
            f"arms.{arm}.strategy: '{study.arms[arm].strategy}' mixes in general records, and the study draws none: "
            "set general.instructions with replay above 0"
        )
