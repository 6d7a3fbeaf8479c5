"""Weights moved back to the base model's: their logits at both ends and halfway, of an adapter and of all weights."""

import copy
import json
from pathlib import Path

import pytest
import torch
import yaml

from grads.graph.needs import arm_stores, check_arms
from grads.graph.study import StudyGraph
from grads.models.load import load_model
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.runtime.runner import Machine
from grads.study.reading import parse_study
from grads.training.strategies.registry import find_strategy, parse_parameters
from grads.training.strategies.wise_ft import STRATEGY, WiseFt

from ..conftest import TRAINING, cell, train

ROOT = Path(__file__).parents[3]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
FULL = {"method": "full"}
SCALED = FULL | {"strategy": "wise_ft", "strategy_parameters": {"arm": "full", "alpha": 0.25}}
IDS = torch.tensor([[5, 6, 7, 8, 9, 40, 41, 42]])


def study(**arms):
    """Return the smoke study with arms of one's own, the untuned one next to them."""
    return parse_study(copy.deepcopy(SMOKE) | {"arms": {"untuned": {"method": "untuned"}} | arms})


def scaled(tmp_path, source, model, alpha):
    """Run the job that a study has for an arm that scales a run, on files of a run that is there."""
    job = StudyGraph(study(full=FULL, scaled=SCALED), reading=False).train("tiny", "sums", "scaled", "1", "0")
    out = tmp_path / str(alpha)
    job = job.changed(
        model=model,
        run_trained=source.trained,
        run_summary=source.summary,
        strategy_parameters={"arm": "full", "alpha": alpha},
        trained=out / "adapter",
        summary=out / "training.json",
    )
    job.run(Machine())
    return out


@torch.no_grad()
def logits(model, trained=None):
    return load_model(model, "float32", trained)(input_ids=IDS).logits


@torch.no_grad()
def interpolated(model, trained, alpha):
    """Return the logits of w0 + alpha (w - w0), of weights into which an adapter is merged."""
    tuned = load_model(model, "float32", trained)
    tuned = tuned.merge_and_unload() if hasattr(tuned, "merge_and_unload") else tuned
    base = load_model(model, "float32")
    for name, weight in base.named_parameters():
        weight += alpha * (tuned.get_parameter(name) - weight)
    return base(input_ids=IDS).logits


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_logits_are_those_of_interpolated_weights(tmp_path, records, tiny_model_folder, weights):
    source = cell(tmp_path, records, "full", epochs=1)
    rate = 1.0e-2 if weights == "lora" else 1.0e-3
    train(tiny_model_folder, source, training=TRAINING.model_copy(update={"weights": weights, "learning_rate": rate}))
    untuned, tuned = logits(tiny_model_folder), logits(tiny_model_folder, source.trained)
    assert float((tuned - untuned).abs().max()) > 0.1
    made = {alpha: scaled(tmp_path, source, tiny_model_folder, alpha) for alpha in (0.0, 0.5, 1.0)}
    found = {alpha: logits(tiny_model_folder, out / "adapter") for alpha, out in made.items()}
    assert torch.equal(found[0.0], untuned)
    assert torch.equal(found[1.0], tuned)
    expected = interpolated(tiny_model_folder, source.trained, 0.5)
    torch.testing.assert_close(found[0.5], expected, rtol=1e-5, atol=1e-5)
    assert float((found[0.5] - (untuned + tuned) / 2).abs().max()) > 1e-4

    spent, charged = read_json(source.summary), read_json(made[0.5] / "training.json")
    for key in ("seconds", "flops", "steps", "tokens", "records", "curve"):
        assert charged[key] == spent[key]
    assert (charged["strategy"], charged["scaled_from"]) == ("wise_ft", "full")
    assert charged["notes"] == {"run_of": "full", "scale": 0.5, "trained_by": "sft"}


def test_the_job_reads_the_other_run_and_what_it_was_made_of():
    graph = StudyGraph(study(full=FULL, scaled=SCALED), reading=False)
    job = graph.train("tiny", "sums", "scaled", "1", "0")
    run = Path("results/smoke/runs/tiny/sums/full/1/0")
    assert (job.run_trained, job.run_summary) == (run / "adapter", run / "training.json")
    maker = graph.train("tiny", "sums", "full", "1", "0")
    assert {job.run_trained, job.run_summary} == {maker.trained, maker.summary}
    assert maker.run_trained is None
    assert job.settings["strategy_parameters"] == {"arm": "full", "alpha": 0.25}
    assert "grads.training.scaled" in job.more_modules


def test_what_the_other_run_needed_is_charged_too():
    masked = FULL | {"strategy": "stm", "strategy_parameters": {"threshold": 300.0}}
    both = study(full=masked, scaled=SCALED)
    check_arms(both)
    assert arm_stores(both, "scaled") == arm_stores(both, "full") == ["base"]


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        ({"scaled": SCALED}, r"arms\.scaled\.strategy_parameters: it scales the run of the arm 'full'"),
        (
            {"ful": FULL, "scaled": SCALED},
            r"arms\.scaled\.strategy_parameters: .* 'full': did you mean 'ful'",
        ),
        (
            {"scaled": SCALED | {"strategy_parameters": {"arm": "untuned"}}},
            r"arms\.scaled\.strategy_parameters: .* 'untuned', which trains nothing itself",
        ),
        (
            {"scaled": SCALED | {"strategy_parameters": {"arm": "scaled"}}},
            r"arms\.scaled\.strategy_parameters: .* 'scaled', which trains nothing itself",
        ),
        ({"full": FULL, "scaled": SCALED | {"start": "warm"}}, r"arms\.scaled\.start: .* run of 'full' scaled"),
        ({"full": FULL, "scaled": SCALED | {"match": "steps"}}, r"arms\.scaled\.match: .* run of 'full' scaled"),
        (
            {"full": FULL, "scaled": SCALED | {"method": "random", "ratios": ["0.5"]}},
            r"arms\.scaled\.method: .* run of 'full' scaled",
        ),
        (
            {
                "full": {"method": "random", "ratios": ["0.5"]},
                "scaled": SCALED | {"method": "random", "ratios": ["0.25"]},
            },
            r"arms\.full\.ratios: arm 'scaled' scales its run at 0\.25",
        ),
    ],
)
def test_a_run_that_cannot_be_scaled_is_refused(arms, sentence):
    with pytest.raises(GradsError, match=sentence) as caught:
        check_arms(study(**arms))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, "0.5"])
def test_a_wrong_strength_is_one_sentence(alpha):
    with pytest.raises(GradsError, match="parameter 'alpha' of strategy 'wise_ft' is"):
        parse_parameters(find_strategy("wise_ft"), {"alpha": alpha})


def test_it_needs_the_other_run_and_nothing_else():
    needs = STRATEGY.needs(WiseFt(arm="grads"))
    assert (needs.run, needs.stores, needs.base_logits, needs.base_weights) == ("grads", {}, False, False)


def test_an_adapter_keeps_its_config(tmp_path, records, tiny_model_folder):
    source = cell(tmp_path, records, "full", epochs=1)
    train(tiny_model_folder, source)
    out = scaled(tmp_path, source, tiny_model_folder, 0.25)
    before, after = (json.loads((one / "adapter_config.json").read_text()) for one in (source.trained, out / "adapter"))
    assert before == after


@pytest.mark.parametrize(("weights", "needed"), [("lora", False), ("full", True)])
def test_a_gpu_is_taken_only_where_models_are_loaded(weights, needed):
    content = copy.deepcopy(SMOKE) | {"arms": {"untuned": {"method": "untuned"}, "full": FULL, "scaled": SCALED}}
    content["training"] |= {"weights": weights}
    graph = StudyGraph(parse_study(content), reading=False)
    assert graph.train("tiny", "sums", "scaled", "1", "0").needs_device == needed
    assert graph.train("tiny", "sums", "full", "1", "0").needs_device
