"""Variants: arms of one method that differ from its default arm in some switches."""

from dataclasses import dataclass
from typing import Any

from grads.study.config import Study


@dataclass(frozen=True)
class Variant:
    """An arm, the arm of the same method that has all defaults, and the keys in which they differ."""

    arm: str
    default: str
    changed: dict[str, Any]


def variants(study: Study) -> list[Variant]:
    """Return the variants of a study, in the order of its config; methods without a default arm have none."""
    found = []
    defaults = {arm.method: name for name, arm in reversed(study.arms.items()) if not _changed(study, name)}
    for name, arm in study.arms.items():
        if (changed := _changed(study, name)) and arm.method in defaults:
            found.append(Variant(name, defaults[arm.method], changed))
    return found


def _changed(study: Study, arm: str) -> dict[str, Any]:
    """Return what an arm sets beside its method and its ratios."""
    declared = study.arms[arm].model_dump(exclude_defaults=True, exclude={"method", "ratios", "parameters"})
    return study.arms[arm].parameters | declared
