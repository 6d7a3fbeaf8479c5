"""`grads train` with a strategy, and what strategies add to `grads plan`."""

import json
from pathlib import Path

import pytest
import yaml

from grads.cli.plan import Work, selection_work, training_work
from grads.study.load import parse_study

from .conftest import QUICK

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))


def with_arm(**arm):
    return parse_study(SMOKE | {"arms": {"a": {"method": "random", "ratios": ["0.5"]} | arm}})


def test_a_strategy_gets_the_signals_that_it_needs(grads, data, tiny_model_folder, tmp_path):
    files = ("--model", tiny_model_folder, "--data", data)
    chosen = ("--strategy", "stm", "--strategy-parameter", "threshold=257")
    grads("train", *files, "--out", tmp_path / "masked", *chosen, *QUICK)
    summary = json.loads((tmp_path / "masked.training.json").read_text())
    assert summary["strategy"] == "stm"
    assert 0 < summary["notes"]["masked_tokens"] < summary["notes"]["response_tokens"]
    assert list((tmp_path / "grads-work").glob("base-*/store/token_losses.parquet"))
    manifest = json.loads((tmp_path / "masked.manifest.json").read_text())
    assert manifest["settings"]["strategy_parameters"] == {"threshold": 257}


def test_the_adapter_names_the_model_that_was_given(grads, data, tiny_model_folder, tmp_path, place, monkeypatch):
    from peft import AutoPeftModelForCausalLM

    commit = place("owner/tiny", tiny_model_folder)
    (tmp_path / "mine").symlink_to(tiny_model_folder)
    monkeypatch.chdir(tmp_path)
    found = {}
    for name, model in (("folder", "mine"), ("hub", "owner/tiny")):
        grads("train", "--model", model, "--data", data, "--out", tmp_path / name, *QUICK)
        config = json.loads((tmp_path / name / "adapter_config.json").read_text())
        found[name] = (config["base_model_name_or_path"], config["revision"])
    assert found == {"folder": (str(tmp_path / "mine"), None), "hub": ("owner/tiny", commit)}
    # Other tools find the model from any folder.
    monkeypatch.chdir("/")
    AutoPeftModelForCausalLM.from_pretrained(tmp_path / "folder")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--strategy", "stn"], "there is no training strategy 'stn': did you mean 'stm'"),
        (["--strategy", "stm", "--strategy-parameter", "treshold=2"], "--strategy-parameter: strategy 'stm' has no"),
        (["--strategy", "replay"], "--strategy replay: it reads general records, which one file"),
        (["--strategy", "weighted"], "--strategy weighted: it reads a selection's weights, which one file"),
    ],
)
def test_what_one_file_cannot_be_trained_with_is_refused(grads, data, tiny_model_folder, tmp_path, options, sentence):
    files = ("--model", tiny_model_folder, "--data", data, "--out", tmp_path / "adapter")
    result = grads("train", *files, *options, status=2)
    assert sentence in result.stderr
    assert not (tmp_path / "grads-work").exists()


def test_what_is_matched_counts_like_all_records():
    assert training_work(with_arm(), 1000) == Work(train=1000, jobs=1)
    assert training_work(with_arm(match="steps"), 1000) == Work(train=2000, jobs=1)
    assert training_work(with_arm(match="tokens"), 1000) == Work(train=2000, jobs=1)


def test_general_records_count_beside_those_of_the_domain():
    assert training_work(with_arm(strategy="replay"), 1000) == Work(train=1500, jobs=1)


def test_the_pass_that_a_strategy_reads_is_counted():
    assert selection_work(with_arm(strategy="stm"), "tiny", 1000) == Work(forward=1000, jobs=1)
    assert selection_work(with_arm(), "tiny", 1000) == Work()
