"""What a study's arms need before they can select: checked and known before any work."""

from functools import partial
from pathlib import Path

from grads.config.ratios import AUTO
from grads.config.study import Study
from grads.runtime.errors import GradsError, check_all, nearest
from grads.selection.contract import TEXTS, Method, Needs
from grads.selection.registry import find_method, parse_parameters
from grads.signals.names import ADAM_FEATURES, FEATURES, SENTENCES, SGD_FEATURES, TRAJECTORY_LOSSES, known_measures
from grads.study.grid import FIXED_RATIOS, arm_ratios
from grads.study.paths import ANCHOR, OTHERS, REWRITTEN, TOKENS, TRAJECTORY, VALIDATION, WARM, WARMUP, store_point


def arm_method(study: Study, arm: str) -> Method:
    """Return the method of an arm.

    Raises:
        GradsError: there is no such method.
    """
    try:
        return find_method(study.arms[arm].method)
    except GradsError as error:
        raise error.after(f"arms.{arm}.method") from None


def arm_needs(study: Study, arm: str) -> Needs:
    """Return what the arm's method itself needs.

    Raises:
        GradsError: a parameter is unknown or not allowed.
    """
    method = arm_method(study, arm)
    try:
        return method.needs(parse_parameters(method, study.arms[arm].parameters))
    except GradsError as error:
        raise error.after(f"arms.{arm}.parameters") from None


def arm_uses_target(study: Study, arm: str) -> bool:
    """Return whether the arm's method sees examples of the target task, which tables mark."""
    method = arm_method(study, arm)
    return method.sees_target(parse_parameters(method, study.arms[arm].parameters))


def references(study: Study, arm: str, ratio: str) -> tuple[str, ...]:
    """Return the arms whose selections the arm's method reads at a ratio."""
    return arm_needs(study, arm).references(ratio == AUTO)


def scorer_of(study: Study, arm: str, store: str) -> str | None:
    """Return the model that a store of the arm's needs is of, None where it is the one that is trained.

    The pool is that of the model that is trained, and sentence encoders are the same for all.
    """
    point, encoder, _records = store_point(store)
    return None if point == TOKENS or encoder is not None else study.arms[arm].scorer


def measures(study: Study, store: str, model: str) -> list[str]:
    """Return all that a signal store of a model must hold for the study's arms, sorted: one pass serves them all."""
    asking = [arm for arm in study.arms if (scorer_of(study, arm, store) or model) == model]
    asking = [arm for arm in asking if study.arms[arm].scorer == model or model in study.models]
    return sorted(set().union(*(arm_needs(study, arm).stores.get(store, ()) for arm in asking)))


def model_stores(study: Study, model: str) -> list[str]:
    """Return the signal stores that the study's arms need of a model, sorted."""
    named = {store for arm in study.arms for store in arm_needs(study, arm).stores}
    return sorted(store for store in named if measures(study, store, model))


def needs_moments(study: Study) -> bool:
    """Return whether an arm measures by the moments of Adam, so that preliminary epochs must keep them."""
    stores = [WARM + other for other in ("", *OTHERS)]
    return any(ADAM_FEATURES in measures(study, store, model) for store in stores for model in study.every_model)


def arm_stores(study: Study, arm: str) -> list[str]:
    """Return the signal stores that the arm needs, those of the arms whose selections it reads included, sorted.

    Those of its scorer are called `<scorer>:<store>`.
    """
    needs = arm_needs(study, arm)
    scorers = {store: scorer_of(study, arm, store) for store in needs.stores}
    stores = {f"{scorer}:{store}" if scorer else store for store, scorer in scorers.items()}
    for other in needs.arms:
        stores.update(arm_stores(study, other))
    return sorted(stores)


def check_arms(study: Study) -> None:
    """Refuse arms that could not run.

    Raises:
        GradsError: unknown methods or parameters, ratios where the method has its own or none where it needs some, or
            a reference to an arm that is not there, keeps all records at every ratio, lacks a ratio, or leads back to
            where it came from; all that is found.
    """
    check_all(partial(_check_arm, study, arm) for arm in study.arms)
    check_all(partial(_check_references, study, arm, (arm,)) for arm in study.arms)


def _check_arm(study: Study, arm: str) -> None:
    declared = study.arms[arm]
    arm_needs(study, arm)
    check_all(
        partial(check, study, arm)
        for check in (_check_ratios, _check_auto, _check_scorer, _check_texts, _check_files, _check_signals)
    )
    if declared.start == "warm" and not arm_method(study, arm).trains:
        raise GradsError(f"arms.{arm}.start: method '{declared.method}' trains nothing: remove the key")


def _check_ratios(study: Study, arm: str) -> None:
    declared = study.arms[arm]
    fixed = FIXED_RATIOS.get(declared.method)
    if fixed is not None and declared.ratios:
        raise GradsError(f"arms.{arm}.ratios: method '{declared.method}' has ratio {fixed} only: remove the list")
    if fixed is None and not declared.ratios:
        raise GradsError(f"arms.{arm}.ratios: method '{declared.method}' needs some: add, say, [0.05, 0.5]")
    if len(set(declared.ratios)) < len(declared.ratios):
        raise GradsError(f"arms.{arm}.ratios: {declared.ratios} lists a ratio twice: remove one")


def _check_auto(study: Study, arm: str) -> None:
    method = arm_method(study, arm)
    declared = study.arms[arm]
    if AUTO not in declared.ratios or arm_needs(study, arm).count_of is not None:
        return
    if method.automatic_count(parse_parameters(method, declared.parameters)) is None:
        raise GradsError(
            f"arms.{arm}.ratios: method '{declared.method}' with these parameters finds no number of records by "
            f"itself: give ratios instead of '{AUTO}'"
        )


def _check_files(study: Study, arm: str) -> None:
    for file in arm_needs(study, arm).files:
        if not Path(file).is_file():
            found = "is a folder" if Path(file).is_dir() else "is not there (paths are relative to the working folder)"
            raise GradsError(f"arms.{arm}.parameters: {file} {found}: name a file")


def _check_scorer(study: Study, arm: str) -> None:
    scorer = study.arms[arm].scorer
    if scorer is None:
        return
    if scorer not in study.every_model:
        raise GradsError(f"arms.{arm}.scorer is '{scorer}': {nearest(scorer, study.every_model)}")
    if not any(scorer_of(study, arm, store) for store in arm_needs(study, arm).stores):
        raise GradsError(
            f"arms.{arm}.scorer: method '{study.arms[arm].method}' with these parameters reads no signals of a model: "
            "remove the key"
        )


def _check_texts(study: Study, arm: str) -> None:
    wanted = arm_needs(study, arm).texts
    method = study.arms[arm].method
    for split in sorted(wanted - TEXTS):
        raise GradsError(f"arms.{arm}.method: '{method}' reads texts of '{split}': {nearest(split, sorted(TEXTS))}")
    if VALIDATION in wanted:
        _check_target(study, arm)


def _check_target(study: Study, arm: str) -> None:
    """Refuse a method that reads validation records where there are none, or where tables would not mark it."""
    if not study.splits.sizes["validation"]:
        raise GradsError(
            f"arms.{arm}.method: '{study.arms[arm].method}' with these parameters reads validation records, and there "
            "are none: set splits.validation above 0 (and splits.tuning to false), or remove the arm"
        )
    if not arm_uses_target(study, arm):
        raise GradsError(
            f"arms.{arm}.method: '{study.arms[arm].method}' reads validation records, and tables mark such methods: "
            "declare it with uses_target=True"
        )


def _check_signals(study: Study, arm: str) -> None:
    for store, held in arm_needs(study, arm).stores.items():
        point, encoder, records = store_point(store)
        if encoder is not None and encoder not in study.encoders:
            raise GradsError(f"arms.{arm}.parameters.encoder is '{encoder}': {nearest(encoder, study.encoders)}")
        if point == REWRITTEN:
            raise GradsError(
                f"arms.{arm}.method: '{study.arms[arm].method}' asks for the signals '{store}', which are answers for "
                "training strategies: ask for others"
            )
        of_warmup = {SGD_FEATURES} if records == VALIDATION else {ADAM_FEATURES}
        only = {"encoder": {SENTENCES}, TRAJECTORY: {TRAJECTORY_LOSSES}, WARMUP: of_warmup}
        known = only.get(point) or known_measures()
        for name in sorted(held - known):
            raise GradsError(
                f"arms.{arm}.method: '{study.arms[arm].method}' asks the signals '{store}' for '{name}', which they "
                f"cannot hold: {nearest(name, known)}"
            )
        if records == VALIDATION:
            _check_target(study, arm)
        if records == ANCHOR and study.general.instructions is None:
            raise GradsError(
                f"arms.{arm}.method: '{study.arms[arm].method}' reads signals of general instructions: add the section "
                "'general.instructions', or remove the arm"
            )
        if "weights" in held and study.training.weights != "full":
            raise GradsError(f"arms.{arm}.method: the signal 'weights' needs training.weights to be full: remove one")
        _check_adapter(study, arm, point, held)


def _check_adapter(study: Study, arm: str, point: str, held: frozenset[str]) -> None:
    if "adapter" in held and study.training.weights != "lora":
        raise GradsError(f"arms.{arm}.parameters.layers: 'adapter' needs training.weights to be lora: remove one")
    if FEATURES & held and study.training.weights != "lora":
        raise GradsError(
            f"arms.{arm}.method: '{study.arms[arm].method}' needs gradients of the adapter as features: set "
            "training.weights to lora, or remove the arm"
        )
    if ADAM_FEATURES in held and point not in (WARM, WARMUP):
        raise GradsError(
            f"arms.{arm}.parameters: there are no moments of Adam at '{point}', only after the preliminary epoch: "
            f"measure at '{WARM}', or without Adam"
        )


def _check_references(study: Study, arm: str, chain: tuple[str, ...]) -> None:
    for other in arm_needs(study, arm).references(AUTO in study.arms[arm].ratios):
        if other not in study.arms:
            raise GradsError(f"arms.{arm}.parameters: it refers to the arm '{other}': {nearest(other, study.arms)}")
        if arm_method(study, other).equal_steps:
            raise GradsError(
                f"arms.{arm}.parameters: it refers to the arm '{other}', which keeps all records at every ratio: name "
                "an arm that keeps some"
            )
        if other in chain:
            circle = chain[chain.index(other) :]
            # Wherever the search began, a circle is one mistake.
            start = circle.index(min(circle))
            named = ", ".join((*circle[start:], *circle[:start]))
            raise GradsError(f"arms.{min(circle)}.parameters: the arms {named} refer to each other in a circle")
        shared = [ratio for ratio in arm_ratios(study, arm) if other in references(study, arm, ratio)]
        if missing := [ratio for ratio in shared if ratio not in arm_ratios(study, other)]:
            raise GradsError(f"arms.{other}.ratios: arm '{arm}' refers to it at {missing[0]}: add that ratio")
        _check_references(study, other, (*chain, other))
