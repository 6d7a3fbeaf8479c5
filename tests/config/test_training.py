"""Keys that several sections have: one definition says what each may be, wherever it stands."""

from typing import Any

import pytest
from pydantic import ValidationError

from grads.config.arms import OwnAdapter, OwnTraining
from grads.config.models import Skill
from grads.config.schema import description
from grads.config.section import Section
from grads.config.training import Adapter, Training

VALUES = (-1, 0, 0.5, 1, 1.0, 7, 8, 10_000, 10_001, 20_000_000, float("inf"), "1", True, [], ["q_proj"], [""])
PAIRS = [(OwnTraining, Training), (OwnAdapter, Adapter), (Skill, Training)]
SHARED = [
    (section, study, key)
    for section, study in PAIRS
    for key in sorted(section.model_fields.keys() & study.model_fields.keys() - {"adapter"})
]


def accepted(section: type[Section], key: str) -> list[Any]:
    """Return the values that a section takes for a key, whatever else it lacks."""
    taken = []
    for value in VALUES:
        try:
            section.model_validate({key: value})
        except ValidationError as error:
            if any(one["loc"][0] == key for one in error.errors()):
                continue
        taken.append(value)
    return taken


@pytest.mark.parametrize(("section", "study", "key"), SHARED)
def test_a_key_may_be_the_same_and_means_the_same_wherever_it_stands(section, study, key):
    found = accepted(section, key)
    assert 0 < len(found) < len(VALUES)
    assert found == accepted(study, key)
    assert description(section.model_fields[key]) == description(study.model_fields[key])


def test_an_arm_and_a_skill_share_what_they_may_set():
    keys = {section: {key for one, _, key in SHARED if one is section} for section, _ in PAIRS}
    assert keys[OwnAdapter] == set(Adapter.model_fields)
    assert keys[OwnTraining] == {"epochs", "learning_rate", "warmup", "weight_decay"}
    assert keys[Skill] == {"epochs", "global_batch", "learning_rate", "max_length"}


def test_a_skill_is_taught_by_its_own_settings_as_the_study_computes():
    source = {"kind": "file", "path": "x.jsonl"}
    skill = Skill.model_validate({"source": source, "records": 3, "epochs": 5, "max_length": 64})
    study = Training(warmup=0.5, engine="reference", precision="float32", checkpointing="never", global_batch=2)
    expected = Training(
        weights="full", epochs=5, learning_rate=1.0e-4, max_length=64, engine="reference", precision="float32",
        checkpointing="never",
    )  # fmt: skip
    assert skill.training(study) == expected
