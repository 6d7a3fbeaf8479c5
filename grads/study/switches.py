"""Variants: arms of one method that differ from its default arm in some switches."""

from dataclasses import dataclass
from typing import Any

from grads.config.study import Study
from grads.study.controls import CONTROLS, reference


@dataclass(frozen=True)
class Variant:
    """An arm, the arm of the same method that has all defaults, and the keys in which they differ."""

    arm: str
    default: str
    changed: dict[str, Any]


def variants(study: Study) -> list[Variant]:
    """Return the variants of a study, in the order of its config; methods without a default arm have none.

    The arm that a control refers to is no switch: of controls of several arms none is a variant of another.
    """
    defaults = {_kind(study, name): name for name in reversed(study.arms) if not _changed(study, name)}
    return [
        Variant(name, defaults[_kind(study, name)], changed)
        for name in study.arms
        if (changed := _changed(study, name)) and _kind(study, name) in defaults
    ]


def _kind(study: Study, arm: str) -> tuple[str, str]:
    """Return what an arm shares with its variants: the method, and the arm that it refers to if it is a control."""
    method = study.arms[arm].method
    return method, reference(study, arm) if method in CONTROLS else ""


def _changed(study: Study, arm: str) -> dict[str, Any]:
    """Return what an arm sets in addition to its method, its ratios, and the arm that a control refers to."""
    declared = study.arms[arm].model_dump(exclude_defaults=True, exclude={"method", "ratios", "parameters"})
    control = study.arms[arm].method in CONTROLS
    parameters = {
        name: one for name, one in study.arms[arm].parameters.items() if not (control and name == "reference")
    }
    return parameters | declared
