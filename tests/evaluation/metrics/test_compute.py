"""The metrics file: what was asked, the lengths with it, and what is missing."""

import json

import pytest

from grads.evaluation.metrics.compute import compute_metrics
from grads.evaluation.metrics.contract import Setting
from grads.evaluation.metrics.registry import computed, find_metric, metrics
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_file_holds_what_was_asked_and_the_lengths(tmp_path, wordnet_folder, several):
    predictions, out = write(tmp_path / "predictions.jsonl", several), tmp_path / "metrics.json"
    compute_metrics(predictions, computed(metrics()), out, Setting("en", wordnet_folder))
    found = read_json(out)
    assert set(found) == {*computed(metrics()), "capped", "new_tokens"}
    assert {metric["n"] for metric in found.values()} == {len(several)}
    assert found["bleu"] == find_metric("bleu").compute(several, Setting())
    assert found["response_nll"]["value"] == 3.5
    assert found["capped"]["value"] == 0.2
    assert found["new_tokens"]["value"] == 8
    assert not list(tmp_path.glob(".*"))


def test_groups_of_predictions_are_kept_where_there_are_some(tmp_path, several):
    rows = [row | ({"group": "document"} if place < 2 else {}) for place, row in enumerate(several)]
    compute_metrics(write(tmp_path / "predictions.jsonl", rows), ["bleu"], tmp_path / "metrics.json")
    groups = read_json(tmp_path / "metrics.json")["groups"]
    assert groups[:2] == ["document", "document"]
    assert len(set(groups)) == len(several) - 1
    assert len(groups) == len(several)


def test_what_is_missing_is_said(tmp_path, rows):
    out = tmp_path / "metrics.json"
    with pytest.raises(GradsError, match=r"empty.jsonl is empty"):
        compute_metrics(write(tmp_path / "empty.jsonl", []), ["bleu"], out)
    predictions = write(tmp_path / "predictions.jsonl", rows)
    with pytest.raises(GradsError, match=r"set 'evaluation.wordnet'"):
        compute_metrics(predictions, ["meteor"], out)
    with pytest.raises(GradsError, match=r"no metric 'blue'"):
        compute_metrics(predictions, ["blue"], out)
    bare = write(tmp_path / "bare.jsonl", [{"reference": "a", "prediction": "b"}])
    with pytest.raises(GradsError, match=r"bare.jsonl:1 has no 'capped'"):
        compute_metrics(bare, ["response_nll"], out)
    assert not out.exists()


def test_the_line_that_lacks_a_field_is_named(tmp_path, rows):
    rows = [rows[0], {name: value for name, value in rows[1].items() if name != "response_nll"}]
    predictions, out = write(tmp_path / "predictions.jsonl", rows), tmp_path / "metrics.json"
    with pytest.raises(GradsError, match=r"predictions\.jsonl:2 has no 'response_nll', which its metrics need"):
        compute_metrics(predictions, ["bleu", "response_nll"], out)
    # A field that no metric needs may be missing.
    compute_metrics(predictions, ["bleu"], out)
    assert set(read_json(out)) == {"bleu", "capped", "new_tokens"}


def test_predictions_of_another_tool_need_no_lengths(tmp_path):
    rows = [{"reference": "a b", "prediction": "a b"}]
    compute_metrics(write(tmp_path / "bare.jsonl", rows), ["chrf"], tmp_path / "metrics.json", averaged=())
    assert read_json(tmp_path / "metrics.json") == {"chrf": find_metric("chrf").compute(rows, Setting())}
