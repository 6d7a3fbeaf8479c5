"""`grads train` with a strategy."""

import json

import pytest

from .conftest import QUICK


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
        (["--strategy", "ewc"], "--strategy ewc: it reads general records, which one file"),
        (["--strategy", "sdft"], "--strategy sdft: it reads the model's own answers, which one file"),
        (["--strategy", "wise_ft"], "--strategy wise_ft: it reads another arm's run, which one file"),
        (["--strategy", "tlm"], "--strategy tlm: it reads the prompts of a test set, which one file"),
        (["--strategy", "weighted"], "--strategy weighted: it reads a selection's weights, which one file"),
    ],
)
def test_what_one_file_cannot_be_trained_with_is_refused(grads, data, tiny_model_folder, tmp_path, options, sentence):
    files = ("--model", tiny_model_folder, "--data", data, "--out", tmp_path / "adapter")
    result = grads("train", *files, *options, status=2)
    assert sentence in result.stderr
    assert not (tmp_path / "grads-work").exists()
