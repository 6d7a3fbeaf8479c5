"""Arms of a study, checked before any work."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from grads.config.study import Study
from grads.runtime.errors import GradsError
from grads.selection import needs as module
from grads.selection.contract import Choice, Method, Needs
from grads.selection.needs import arm_method, arm_needs, arm_stores, check_arms, measures, model_stores, needs_moments
from grads.study.reading import parse_study

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))


def study(**arms: dict[str, Any]) -> Study:
    """Return the smoke study with arms of one's own."""
    return parse_study(copy.deepcopy(SMOKE) | {"arms": arms})


GRADS = {"method": "grads", "ratios": ["0.1", "0.5"]}


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_arms_can_run(path: Path) -> None:
    check_arms(parse_study(yaml.safe_load(path.read_text(encoding="utf-8"))))


def test_an_arm_need_not_be_called_like_its_method() -> None:
    mine = study(mine={"method": "grads", "ratios": ["0.5"], "parameters": {"diversity": 0.0, "similarity": 0.0}})
    assert arm_method(mine, "mine").name == "grads"
    assert arm_needs(mine, "mine").stores == {"warm": {"gradients"}}


def test_stores_of_the_arms_referred_to_are_needed_too() -> None:
    chain = study(
        grads=GRADS,
        one={"method": "random_length", "ratios": ["0.5"]},
        two={"method": "random_length", "ratios": ["0.5"], "parameters": {"reference": "one"}},
        plain={"method": "random", "ratios": ["0.5"]},
    )
    check_arms(chain)
    assert arm_stores(chain, "two") == arm_stores(chain, "grads") == ["base", "warm"]
    assert arm_stores(chain, "plain") == []
    assert arm_needs(chain, "two").stores == {}


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        (
            {"a": {"method": "gradss", "ratios": [0.5]}},
            r"arms\.a\.method: there is no .* 'gradss': did you mean 'grads'",
        ),
        (
            {"a": {"method": "grads", "ratios": [0.5], "parameters": {"neighbors": 3}}},
            r"arms\.a\.parameters: .*no parameter 'neighbors': did you mean 'neighbours'",
        ),
        ({"a": {"method": "full", "ratios": [0.5]}}, r"arms\.a\.ratios: method 'full' has ratio 1 only: remove"),
        (
            {"untuned": {"method": "untuned", "ratios": [0.5]}},
            r"arms\.untuned\.ratios: method 'untuned' has ratio 0 only",
        ),
        ({"a": {"method": "random"}}, r"arms\.a\.ratios: method 'random' needs some: add, say"),
        ({"a": {"method": "random", "ratios": [0.5, "0.50"]}}, r"arms\.a\.ratios: .* lists a ratio twice"),
        ({"a": {"method": "random_length", "ratios": [0.5]}}, r"arms\.a\.parameters: it refers to the arm 'grads'"),
        (
            {"grads": GRADS, "a": {"method": "random_length", "ratios": [0.5, 0.25]}},
            r"arms\.grads\.ratios: arm 'a' refers to it at 0\.25: add that ratio",
        ),
        (
            {
                "a": {"method": "random_length", "ratios": [0.5], "parameters": {"reference": "b"}},
                "b": {"method": "random_length", "ratios": [0.5], "parameters": {"reference": "a"}},
            },
            r"the arms a, b refer to each other in a circle",
        ),
        (
            {
                "grads": GRADS,
                "b": {"method": "full_steps", "ratios": [0.5]},
                "a": {"method": "random_length", "ratios": [0.5], "parameters": {"reference": "b"}},
            },
            r"arms\.a\.parameters: it refers to the arm 'b', which keeps all records at every ratio: name an arm",
        ),
        (
            {"a": {"method": "random_length", "ratios": [0.5], "parameters": {"reference": "a"}}},
            r"the arms a refer to each other in a circle",
        ),
    ],
)
def test_arms_that_could_not_run_are_refused(arms: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GradsError, match=sentence) as caught:
        check_arms(study(**arms))
    assert "\n" not in str(caught.value)


def test_a_reference_may_have_more_ratios_than_asked() -> None:
    check_arms(study(grads=GRADS, a={"method": "random_length", "ratios": ["0.5"]}))


def test_a_file_that_a_method_reads_must_be_there(tmp_path: Path) -> None:
    asked = study(mine={"method": "subset", "ratios": ["auto"], "parameters": {"file": f"{tmp_path}/ids.csv"}})
    with pytest.raises(GradsError, match=r"arms\.mine\.parameters: .*ids\.csv is not there"):
        check_arms(asked)
    (tmp_path / "ids.csv").write_text("id\n", encoding="utf-8")
    check_arms(asked)
    (tmp_path / "ids.csv").unlink()
    (tmp_path / "ids.csv").mkdir()
    with pytest.raises(GradsError, match=r"ids\.csv is a folder: name a file"):
        check_arms(asked)


def study_of_features(monkeypatch: pytest.MonkeyPatch, store: str, *held: str, weights: str = "lora") -> Study:
    """Return a study whose one arm asks a store for features."""
    needs = Needs({store: frozenset(held)})
    method = Method(
        name="vectors",
        title="Vectors",
        source="a test",
        select=lambda given, _: Choice(given.count),
        needs=lambda _: needs,
    )
    monkeypatch.setattr(module, "find_method", lambda name: method)
    made = study(mine={"method": "vectors", "ratios": ["0.5"]})
    return made.model_copy(update={"training": made.training.model_copy(update={"weights": weights})})


def test_the_preliminary_epoch_keeps_moments_only_where_an_arm_measures_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not needs_moments(study(grads=GRADS))
    assert not needs_moments(study_of_features(monkeypatch, "warm", "gradients", "sgd_features"))
    asked = study_of_features(monkeypatch, "warm", "adam_features")
    check_arms(asked)
    assert needs_moments(asked)
    assert measures(asked, "warm", "tiny") == ["adam_features"]


def test_features_that_could_not_be_taken_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GradsError, match=r"arms\.mine\.parameters: there are no moments of Adam at 'base', only after"):
        check_arms(study_of_features(monkeypatch, "base", "adam_features"))
    with pytest.raises(
        GradsError, match=r"arms\.mine\.method: 'vectors' needs gradients of the adapter .* set training"
    ):
        check_arms(study_of_features(monkeypatch, "warm", "sgd_features", weights="full"))
    check_arms(study_of_features(monkeypatch, "base", "sgd_features"))


@pytest.mark.parametrize(
    ("store", "held", "sentence"),
    [
        (
            "warm",
            "gradient",
            r"asks the signals 'warm' for 'gradient', which they cannot hold: did you mean",
        ),
        ("warn", "gradients", r"signals cannot be called 'warn': did you mean 'warm'"),
        ("during-validation", "gradients", r"signals cannot be called 'during-validation'"),
        ("encoder-none", "sentences", r"arms\.mine\.parameters\.encoder is 'none'"),
        ("warm-validation", "losses", r"reads validation records, .* declare it with uses_target=True"),
        ("trajectory", "gradients", r"asks the signals 'trajectory' for 'gradients', .*'losses'"),
        ("trajectory-anchor", "losses", r"signals cannot be called 'trajectory-anchor'"),
        ("warm", "weights", r"the signal 'weights' needs training\.weights to be full"),
    ],
)
def test_signals_that_nobody_could_measure_are_refused(
    store: str, held: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GradsError, match=sentence):
        check_arms(study_of_features(monkeypatch, store, held))


def test_a_method_that_says_so_may_read_validation_records(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = study_of_features(monkeypatch, "warm-validation", "adam_features")
    monkeypatch.setattr(
        module, "find_method", lambda name, real=module.find_method: replace(real(name), uses_target=True)
    )
    check_arms(asked)
    assert needs_moments(asked)


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ("validation", r"arms\.mine\.method: 'vectors' reads validation records, .* uses_target=True"),
        ("test", r"arms\.mine\.method: 'vectors' reads texts of 'test': valid names are 'train', 'validation'"),
    ],
)
def test_texts_that_a_method_may_not_read_are_refused(
    split: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = study_of_features(monkeypatch, "warm", "gradients")
    change = {"needs": lambda _: Needs(texts=frozenset({split}))}
    monkeypatch.setattr(module, "find_method", lambda name, real=module.find_method: replace(real(name), **change))
    with pytest.raises(GradsError, match=sentence):
        check_arms(asked)


def test_an_anchor_needs_general_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = study_of_features(monkeypatch, "warm-anchor", "adam_features")
    check_arms(asked)
    assert needs_moments(asked)
    bare = asked.model_copy(update={"general": asked.general.model_copy(update={"instructions": None})})
    with pytest.raises(GradsError, match=r"mine\.method: .* general instructions: add the section 'general\.in"):
        check_arms(bare)


TINY = {"title": "Navigator", "source": {"kind": "tiny", "seed": 1}}


def scored(**arms: dict[str, Any]) -> Study:
    """Return the smoke study with arms of one's own, another model `big` and a model that only scores."""
    models = SMOKE["models"] | {"big": TINY | {"title": "Big"}}
    return parse_study(copy.deepcopy(SMOKE) | {"models": models, "scorers": {"navigator": TINY}, "arms": arms})


def test_a_model_is_probed_for_what_arms_read_of_it_alone() -> None:
    density = {"method": "grads_density", "ratios": ["0.5"]}
    study = scored(
        near=density | {"scorer": "navigator", "parameters": {"point": "base"}},
        tiny_s=density | {"scorer": "tiny", "parameters": {"reduction": "mean_abs"}},
        own=density,
        drawn={"method": "random_length", "ratios": ["0.5"], "parameters": {"reference": "near"}},
    )
    check_arms(study)
    assert measures(study, "warm", "tiny") == ["gradients", "mean_abs"]
    assert measures(study, "warm", "big") == ["gradients"]
    assert {model: model_stores(study, model) for model in study.every_model} == {
        "tiny": ["warm"],
        "big": ["warm"],
        "navigator": ["base"],
    }
    # What refers to an arm reads what its scorer said.
    assert (arm_stores(study, "drawn"), arm_stores(study, "own")) == (["navigator:base"], ["warm"])


@pytest.mark.parametrize(
    ("arm", "sentence"),
    [
        (GRADS | {"scorer": "navigater"}, r"arms\.a\.scorer is 'navigater': did you mean 'navigator'"),
        (
            {"method": "random", "ratios": ["0.5"], "scorer": "navigator"},
            r"arms\.a\.scorer: method 'random' with these parameters reads no signals of a model: remove",
        ),
    ],
)
def test_scorers_that_could_score_nothing_are_refused(arm: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GradsError, match=sentence):
        check_arms(scored(a=arm))


def test_a_model_is_trained_or_only_scores() -> None:
    with pytest.raises(GradsError, match=r"'scorers\.tiny': this is also a key of 'models'"):
        parse_study(copy.deepcopy(SMOKE) | {"scorers": {"tiny": TINY}})


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("less", {}), ("dsir", {}), ("rds_plus", {}), ("g2is", {}), ("grad_match", {"target": "validation"})],
)
def test_validation_records_that_are_read_must_be_there(method: str, parameters: dict[str, Any]) -> None:
    config = copy.deepcopy(SMOKE) | {"splits": {"validation": 0, "test": 8}}
    config["arms"] = {"mine": {"method": method, "ratios": ["0.5"], "parameters": parameters}}
    with pytest.raises(GradsError, match=rf"arms\.mine\.method: '{method}' .* there are none: set splits\.validation"):
        check_arms(parse_study(config))
    config["arms"] = {"mine": {"method": "grad_match", "ratios": ["0.5"]}}
    check_arms(parse_study(config))


def test_steps_of_adam_are_there_over_a_warm_up_and_gradients_of_its_targets() -> None:
    less = {"method": "less", "ratios": ["0.5"], "parameters": {"point": "warmup"}}
    mine = study(less=less)
    check_arms(mine)
    assert arm_stores(mine, "less") == ["warmup", "warmup-validation"]
    assert not needs_moments(mine)
    with pytest.raises(GradsError, match=r"needs gradients of the adapter as features: set training\.weights to lora"):
        check_arms(parse_study(copy.deepcopy(SMOKE) | {"arms": {"less": less}, "training": {"weights": "full"}}))
