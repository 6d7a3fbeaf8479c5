import json

import pytest
from typer.testing import CliRunner

import grads
from grads.cli.main import app


@pytest.fixture(scope="module")
def trained(signals, tiny_model_folder, records, settings):
    picked = grads.select(signals, "grads", ratio=0.25)
    return grads.train(tiny_model_folder, records, picked, **settings)


def test_training_sees_what_was_picked_and_a_finished_run_is_found_again(
    trained, signals, tiny_model_folder, records, settings
):
    assert trained.training["records"] == 5
    before = (trained.folder / "adapter_model.safetensors").stat().st_mtime_ns
    again = grads.train(tiny_model_folder, records, grads.select(signals, "grads", ratio=0.25), **settings)
    assert again.folder == trained.folder
    assert (again.folder / "adapter_model.safetensors").stat().st_mtime_ns == before


def test_a_selection_of_other_records_is_refused(signals, tiny_model_folder, records, settings, tmp_path):
    picked = grads.select(signals, "random", ratio=0.25)
    with pytest.raises(grads.GradsError, match="picked: it is a selection of other records"):
        grads.train(tiny_model_folder, records[:10], picked, **settings)
    with pytest.raises(grads.GradsError, match="picked: it is in the work folder"):
        grads.train(tiny_model_folder, records, picked, **{**settings, "work": tmp_path})


def test_the_scores_are_those_of_the_command(trained, tiny_model_folder, records, tmp_path):
    scores = grads.evaluate(trained, records[:4], metrics=["bleu", "chrf"], max_new_tokens=4, precision="float32")
    data, out = tmp_path / "test.jsonl", tmp_path / "predictions.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in records[:4]), encoding="utf-8")
    command = ["evaluate", "--model", tiny_model_folder, "--trained", trained.folder, "--data", data, "--out", out]
    command += ["--max-new-tokens", "4", "--precision", "float32"]
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert result.exit_code == 0, result.output
    assert scores.results == json.loads(out.with_suffix(".metrics.json").read_text("utf-8"))
    assert scores.predictions.read_bytes() == out.read_bytes()
    assert dict(scores) == {name: scores.results[name]["value"] for name in ("bleu", "chrf")}
    # A random model never ends its answer.
    assert scores.capped == 4
    assert "capped  4 of 4 answers reached max_new_tokens (100.0 %, " in result.stdout
    for name, line in zip(scores, result.stdout.splitlines(), strict=False):
        low, high = scores.intervals[name]
        assert low <= scores[name] <= high
        assert f"{name}  {scores[name]:.4f}  ({low:.4f} to {high:.4f})  n=4" in line
        assert f"{name}={scores[name]:.4f} ({low:.4f} to {high:.4f})" in repr(scores)
    assert "capped=4 of 4" in repr(scores)


def test_what_an_evaluation_does_not_read_is_refused(trained, records):
    with pytest.raises(grads.GradsError, match=r"seed: it is as in grads\.train"):
        grads.evaluate(trained, records[:2], seed=1)
    with pytest.raises(grads.GradsError, match="metrics blue: did you mean 'bleu'"):
        grads.evaluate(trained, records[:2], metrics=["blue"])


def test_what_was_forgotten_is_measured_as_a_study_does(tiny_model_folder, records, settings):
    general = {
        "tasks": {
            "products": {
                "title": "Products",
                "yaml": "config/tasks/openbookqa.yaml",
                "data": {"kind": "file", "path": "config/smoke/products.jsonl"},
                "sample": 6,
                "chance": 0.5,
            }
        },
        "text": {"source": {"kind": "file", "path": "config/smoke/text.jsonl"}, "sample": 3, "max_tokens": 32},
    }
    scores = grads.evaluate(
        tiny_model_folder, records[:2], general=general, max_new_tokens=2, precision="float32", work=settings["work"]
    )
    items = scores.forgotten["tasks"]["products"]["items"]
    assert len(items) == 6
    assert scores.general["products"] == pytest.approx(sum(item["correct"] for item in items) / 6)
    # The untuned model has not drifted.
    assert scores.general["kl"] == 0
    assert set(scores.general) == {"products", "nll", "kl", "bits_per_byte"}


def test_a_general_part_that_is_no_section_is_one_sentence(tiny_model_folder, records):
    for general, words in (("piqa", "general: it is one text"), ({"taks": {}}, "general: unknown key 'taks'")):
        with pytest.raises(grads.GradsError, match=words):
            grads.evaluate(tiny_model_folder, records[:2], general=general)
