"""Settings that an arm has of its own: what they change, what a run makes of them, and what is refused."""

import copy
import json
from pathlib import Path

import pytest
import torch
import yaml
from peft import get_peft_model_state_dict

from grads.config.arms import OwnAdapter, OwnTraining
from grads.config.training import Adapter, Training, departures
from grads.graph.known import cell_training
from grads.graph.needs import check_arms
from grads.graph.study import StudyGraph
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.study.grid import Cell
from grads.study.reading import parse_study

from .conftest import TRAINING, cell, same, train, weights

SMOKE = yaml.safe_load((Path(__file__).parents[2] / "config/smoke.yaml").read_text(encoding="utf-8"))
HALF = {"method": "random", "ratios": ["0.5"]}


def study(training=None, **arms):
    """Return the smoke study with arms of one's own."""
    content = copy.deepcopy(SMOKE) | {"arms": arms}
    content["training"] |= training or {}
    return parse_study(content)


def test_nothing_given_changes_nothing():
    assert OwnTraining().applied(TRAINING) == TRAINING
    assert OwnTraining().given == {}
    assert departures(TRAINING, TRAINING) == {}


def test_what_is_given_takes_the_place_of_the_studys():
    own = OwnTraining(epochs=1, learning_rate=2.0e-5, adapter=OwnAdapter(targets=["q_proj", "v_proj"]))
    changed = own.applied(Training())
    assert (changed.epochs, changed.learning_rate) == (1, 2.0e-5)
    assert changed.adapter == Adapter(targets=["q_proj", "v_proj"])
    assert departures(Training(), changed) == {
        "epochs": "1 for 2",
        "learning_rate": "2e-05 for 0.0002",
        "adapter.targets": "q_proj v_proj for all-linear",
    }


@pytest.mark.parametrize(("own", "alpha"), [({"rank": 4}, 8.0), ({"rank": 4, "alpha": 32.0}, 32.0), ({}, 32.0)])
def test_another_rank_keeps_the_scale_unless_an_alpha_is_given(own, alpha):
    changed = OwnTraining(adapter=OwnAdapter(**own)).applied(Training(adapter=Adapter(rank=16, alpha=32.0)))
    assert (changed.adapter.rank, changed.adapter.alpha) == (own.get("rank", 16), alpha)


def test_jobs_and_plans_know_them():
    declared = study(a=HALF | {"training": {"epochs": 4, "adapter": {"rank": 2}}, "strategy": "low_lr"}, b=HALF)
    check_arms(declared)
    graph = StudyGraph(declared, reading=False)
    jobs = {arm: graph.train("tiny", "sums", arm, "0.5", "0") for arm in ("a", "b")}
    assert jobs["a"].settings["own"] == {"epochs": 4, "adapter": {"rank": 2}}
    assert jobs["b"].settings["own"] == {}
    assert jobs["a"].training == jobs["b"].training
    found = cell_training(declared, Cell("tiny", "sums", "a", "0.5", 0))
    assert (found.epochs, found.adapter.rank) == (4, 2)
    assert found.learning_rate == pytest.approx(declared.training.learning_rate / 10)
    assert cell_training(declared, Cell("tiny", "sums", "b", "0.5", 0)) == declared.training


def test_a_run_has_the_shape_and_the_length_that_it_asks_for(tmp_path, records, tiny_model_folder):
    own = OwnTraining(epochs=1, learning_rate=5.0e-3, adapter=OwnAdapter(rank=1, targets=["q_proj"]))
    run, plain = cell(tmp_path, records, "own", own=own), cell(tmp_path, records, "plain", epochs=1)
    train(tiny_model_folder, run, plain)
    summary = read_json(run.summary)
    assert (summary["epochs"], summary["steps"]) == (1, 13)
    assert max(entry["learning_rate"] for entry in summary["curve"]) == pytest.approx(5.0e-3)
    found = weights(run)
    assert {name.split(".")[-3] for name in found} == {"q_proj"}
    assert {min(tensor.shape) for tensor in found.values()} == {1}
    assert json.loads((run.trained / "adapter_config.json").read_text())["lora_alpha"] == TRAINING.adapter.alpha / 2
    assert summary["departures"] == {
        "epochs": "1 for 2",
        "learning_rate": "0.005 for 0.01",
        "adapter.rank": "1 for 2",
        "adapter.alpha": "16 for 32",
        "adapter.targets": "q_proj for all-linear",
    }
    assert read_json(plain.summary)["departures"] == {}


class Watching:
    """Keeps the adapter after each step of a run."""

    key = "watching"

    def __init__(self):
        self.after = {}

    def open(self, scratch, padding, visits, shaped_by):
        pass

    def before_step(self, model, examples):
        pass

    def after_step(self, model, step, steps, optimizer):
        self.after[step] = {
            name: tensor.clone()
            for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
        }

    def close(self, seconds, model, tokens):
        pass


def test_an_early_stop_is_the_whole_run_up_to_there(tmp_path, records, tiny_model_folder):
    """25 steps, of which 0.4 are 10: the same batches, the same rates, the same dropout."""
    watching = Watching()
    whole = cell(tmp_path, records, "whole", observer=watching)
    early = cell(tmp_path, records, "early", own=OwnTraining(stop=0.4))
    train(tiny_model_folder, whole, early)
    found = weights(early)
    assert found.keys() == watching.after[10].keys()
    assert all(torch.equal(tensor, watching.after[10][name]) for name, tensor in found.items())
    assert not same(whole, early)
    all_of_it, summary = (read_json(run.summary) for run in (whole, early))
    assert summary["curve"] == all_of_it["curve"][:10]
    assert (summary["steps"], summary["visits"], summary["epochs"]) == (10, 40, 0.8)
    assert summary["departures"] == {"stop": "0.4 for 1"}
    assert summary["flops"] < 0.5 * all_of_it["flops"]


@pytest.mark.parametrize(
    ("arm", "training", "sentence"),
    [
        (
            HALF | {"training": {"adapter": {"rank": 2}}},
            {"weights": "full"},
            r"arms\.a\.training\.adapter: training\.weights is 'full', and there is no adapter",
        ),
        (
            HALF | {"training": {"adapter": {"rank": 2}}, "start": "warm"},
            {},
            r"arms\.a\.training\.adapter\.rank: with start: warm",
        ),
        (HALF | {"training": {"epochs": 2}, "match": "steps"}, {}, r"arms\.a\.training\.epochs: match: steps says"),
        (HALF | {"training": {"stop": 0.5}, "match": "tokens"}, {}, r"arms\.a\.training\.stop: match: tokens says"),
        (
            {"method": "full_steps", "ratios": ["0.5"], "parameters": {"reference": "a"}, "training": {"epochs": 1}},
            {},
            r"arms\.a\.training\.epochs: method 'full_steps' trains for the steps",
        ),
    ],
)
def test_what_nothing_would_read_or_another_key_denies_is_refused(arm, training, sentence):
    with pytest.raises(GradsError, match=sentence) as caught:
        check_arms(study(training, a=arm))
    assert "\n" not in str(caught.value)


def test_an_arm_that_trains_nothing_has_none():
    with pytest.raises(GradsError, match=r"arms\.untuned\.training: method 'untuned' trains nothing: remove the key"):
        check_arms(study(untuned={"method": "untuned", "training": {"epochs": 1}}))


def test_dropout_alone_goes_with_a_warm_start():
    check_arms(study(a=HALF | {"training": {"adapter": {"dropout": 0.1}}, "start": "warm"}))


@pytest.mark.parametrize("key", sorted(Training.model_fields.keys() - OwnTraining.model_fields.keys()))
def test_what_all_arms_share_is_refused_by_its_name(key):
    with pytest.raises(GradsError, match=rf"'arms\.a\.training': {key} of the study's `training` holds for all arms"):
        study(a=HALF | {"training": {key: 1}})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"epoch": 1}, r"unknown key 'arms\.a\.training\.epoch': did you mean 'epochs'"),
        ({"adapter": {"rnk": 1}}, r"unknown key 'arms\.a\.training\.adapter\.rnk': did you mean 'rank'"),
        ({"stop": 1.0}, r"'arms\.a\.training\.stop': write a number below 1"),
        ({"stop": 0.0}, r"'arms\.a\.training\.stop': write a number above 0"),
        ({"learning_rate": "2e-5"}, r"'arms\.a\.training\.learning_rate' is the text"),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence(given, sentence):
    with pytest.raises(GradsError, match=sentence):
        study(a=HALF | {"training": given})
