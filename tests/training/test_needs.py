"""Strategies of a study's arms, checked before any work."""

import copy
from pathlib import Path

import pytest
import yaml

from grads.graph.needs import arm_stores, check_arms, measures, model_stores
from grads.runtime.errors import GradsError
from grads.study.reading import parse_study
from grads.training.needs import arm_strategy, strategy_needs

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
RANDOM = {"method": "random", "ratios": ["0.5"]}


def study(training=None, **arms):
    """Return the smoke study with arms of one's own."""
    content = copy.deepcopy(SMOKE) | {"arms": arms}
    content["training"] |= training or {}
    return parse_study(content)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_arms_can_run(path):
    check_arms(parse_study(yaml.safe_load(path.read_text(encoding="utf-8"))))


def test_arms_are_plain_unless_they_say_otherwise():
    plain = study(a=RANDOM)
    assert (arm_strategy(plain, "a")[0].name, plain.arms["a"].match) == ("sft", "epochs")
    assert (arm_stores(plain, "a"), measures(plain, "base", "tiny")) == ([], [])


def test_what_a_strategy_needs_is_measured_in_the_one_pass():
    mixed = study(
        grads={"method": "grads", "ratios": ["0.5"]},
        a=RANDOM | {"strategy": "stm", "strategy_parameters": {"threshold": 5.0}, "match": "tokens"},
    )
    check_arms(mixed)
    assert strategy_needs(mixed, "a").stores == {"base": {"token_losses"}}
    assert measures(mixed, "base", "tiny") == ["hidden", "token_losses"]
    assert measures(mixed, "warm", "tiny") == ["gradients"]
    assert (arm_stores(mixed, "a"), arm_stores(mixed, "grads")) == (["base"], ["base", "warm"])


@pytest.mark.parametrize(
    ("name", "arm", "sentence"),
    [
        (
            "a",
            RANDOM | {"strategy": "tlm"},
            r"arms\.a\.method: strategy 'tlm' learns from the prompts of the test set .* set the method to full",
        ),
        (
            "a",
            {"method": "full", "strategy": "tlm", "match": "steps"},
            r"arms\.a\.match: strategy 'tlm' visits each prompt",
        ),
        ("a", RANDOM | {"strategy": "stn"}, r"arms\.a\.strategy: there is no .* 'stn': did you mean 'stm'"),
        (
            "a",
            RANDOM | {"strategy": "stm", "strategy_parameters": {"treshold": 2.0}},
            r"arms\.a\.strategy_parameters: .*no parameter 'treshold': did you mean 'threshold'",
        ),
        (
            "untuned",
            {"method": "untuned", "strategy": "stm"},
            r"arms\.untuned\.strategy: method 'untuned' trains nothing",
        ),
        ("untuned", {"method": "untuned", "match": "steps"}, r"arms\.untuned\.match: method 'untuned' trains nothing"),
        (
            "a",
            {"method": "full_steps", "ratios": ["0.5"], "match": "tokens", "parameters": {"reference": "a"}},
            r"arms\.a\.match: method 'full_steps' trains for the steps of its ratio's subset",
        ),
    ],
)
def test_arms_that_could_not_train_are_refused(name, arm, sentence):
    with pytest.raises(GradsError, match=sentence) as caught:
        check_arms(study(**{name: arm}))
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_go_with_a_strategy_are_refused():
    with pytest.raises(GradsError, match=r"arms\.a\.strategy: strategy 'dropout' .* training\.weights is 'full'"):
        check_arms(study({"weights": "full"}, a=RANDOM | {"strategy": "dropout"}))
    with pytest.raises(GradsError, match=r"arms\.a\.strategy: strategy 'weighted' .* training\.global_batch is 1"):
        check_arms(study({"global_batch": 1}, a=RANDOM | {"strategy": "weighted"}))
    check_arms(study(a=RANDOM | {"strategy": "dropout"}, b=RANDOM | {"strategy": "weighted"}))


def test_general_records_must_be_drawn():
    content = copy.deepcopy(SMOKE) | {"arms": {"a": RANDOM | {"strategy": "replay"}}}
    content["general"].pop("instructions", None)
    with pytest.raises(
        GradsError, match=r"arms\.a\.strategy: 'replay' reads general records, and the study draws none"
    ):
        check_arms(parse_study(content))
    content["general"]["instructions"] = {"source": {"kind": "file", "path": "g.jsonl"}}
    with pytest.raises(
        GradsError, match=r"arms\.a\.strategy: 'replay' .* set general\.instructions with replay above 0"
    ):
        check_arms(parse_study(content))
    content["general"]["instructions"]["replay"] = 4
    check_arms(parse_study(content))


def test_an_unknown_match_is_refused_by_the_config():
    with pytest.raises(GradsError, match=r"arms\.a\.match"):
        study(a=RANDOM | {"match": "step"})


def test_what_a_strategy_needs_is_of_the_model_that_is_trained_and_not_of_the_scorer():
    content = copy.deepcopy(SMOKE)
    content["scorers"] = {"small": content["models"]["tiny"] | {"title": "Small"}}
    content["arms"] = {"a": {"method": "grads", "ratios": ["0.5"], "scorer": "small", "strategy": "stm"}}
    content["arms"]["a"]["strategy_parameters"] = {"threshold": 3.0}
    scored = parse_study(content)
    check_arms(scored)
    assert (measures(scored, "base", "tiny"), measures(scored, "base", "small")) == (["token_losses"], ["hidden"])
    assert (model_stores(scored, "tiny"), model_stores(scored, "small")) == (["base"], ["base", "warm"])
    assert arm_stores(scored, "a") == ["base", "small:base", "small:warm"]
