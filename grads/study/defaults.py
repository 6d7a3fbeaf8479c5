"""What a config leaves out: written into it for those who read the config itself, and said in a sentence."""

from collections.abc import Iterable, Mapping
from typing import Any

from grads.config.sources import Archive
from grads.config.study import Study
from grads.study.grid import arm_ratios

SHOWN = ("label", "seeds", "splits", "arms", "general")
"""Keys with a default that the report's captions read in the config."""


def filled_in(study: Study, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's config as it was written, with those keys of SHOWN that it leaves out."""
    missing = [key for key in SHOWN if key not in content]
    given = study.model_dump(mode="json", include=set(missing)) if missing else {}
    return {**content, **{key: given[key] for key in missing}}


def default_sentence(study: Study, archives: Iterable[Archive]) -> str:
    """Return which parts of a study are the defaults, such as its arms; empty where its config has them all.

    Args:
        study: the study.
        archives: those of the built-in ones that it reads.
    """
    parts = []
    if "seeds" not in study.model_fields_set:
        parts.append(f"seeds {', '.join(map(str, study.seeds))}")
    if "splits" not in study.model_fields_set:
        splits = study.splits
        parts.append(f"{splits.validation} validation and {splits.test} test records of each domain")
    if "arms" not in study.model_fields_set:
        arms = [f"{arm} ({', '.join(arm_ratios(study, arm))})" if study.arms[arm].ratios else arm for arm in study.arms]
        parts.append(f"arms {', '.join(arms)}")
    if named := [f"{archive.package} {archive.version}" for archive in archives]:
        parts.append(f"data of {' and '.join(named)} from the package index")
    return f"not in the config, and so by default: {'; '.join(parts)}" if parts else ""
