import json

import pytest

from benchmarks.evaluate import Timed, main, page, result, tables
from benchmarks.machine import measured_on


def timed(*seconds, found):
    return [Timed(2 * one, one, one, found) for one in seconds]


def test_a_peer_is_judged_by_the_median_at_its_best_batch():
    (table,) = tables([], [8, 16], ["tasks"])
    names = list(table.jobs)
    runs = {
        names[0]: timed(1, 2, 30, found=[1.0]),
        names[1]: timed(5, 5, 5, found=[1.5]),
        names[2]: timed(6, 3, 1, found=[1.0]),
    }
    found = result(table, runs)
    assert found["bars"]["lm-eval"] == {"bar": 2.0, "whole": 1.5, "work": 1.5}
    assert found["rows"][names[1]]["times_work"] == 2.5
    assert found["rows"][names[1]]["agreement"] == "5.0e-01 nats at most"
    results = {
        "date": "today", "environment": measured_on(), "load_average": 0, "model": "tiny", "adapter": "a", "items": 1,
        "repeats": 3, "precision": "float32", "threads": 1, "limit": 4, "tables": [found],
    }  # fmt: skip
    assert "Bar against lm-eval: 2.0 times; work 1.50, **not met**" in page(results)


def test_answers_are_compared_one_by_one():
    (table,) = tables([8], [], ["answers"])
    runs = {name: timed(1, found=[[1, 2], [number]]) for number, name in enumerate(table.jobs)}
    rows = result(table, runs)["rows"]
    assert [row["agreement"] for row in rows.values()] == ["2 of 2 answers", "1 of 2 answers"]


@pytest.mark.long
def test_a_short_run_agrees_with_lm_eval_and_generate(
    tiny_model_folder, tmp_path, tmp_path_factory, wordnet_archive, monkeypatch
):
    from benchmarks import evaluate
    from grads.config.training import Adapter
    from grads.models.adapter import fresh_adapter
    from grads.models.load import load_model

    general = tmp_path / "general"
    general.mkdir()
    row = {"question": "What is it?", "choices": ["one", "another thing"], "gold": 0}
    for name in ("piqa", "siqa", "openbookqa", "commonsenseqa"):
        (general / f"{name}.jsonl").write_text((json.dumps(row) + "\n") * 2)
    (general / "text.jsonl").write_text(json.dumps({"text": "Some text of no note."}) + "\n")
    monkeypatch.setattr(evaluate, "_general", lambda *_given: general)
    fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2), 0).save_pretrained(tmp_path / "adapter")
    main([
        "--model", str(tiny_model_folder), "--adapter", str(tmp_path / "adapter"), "--items", "2", "--repeats", "1",
        "--threads", "1", "--precision", "float32", "--parts", "tasks", "answers", "--counts", "4", "--batches", "4",
        "--limit", "5", "--scratch", str(tmp_path / "scratch"), "--out", str(tmp_path),
    ])  # fmt: skip
    results = json.loads((tmp_path / "evaluate.json").read_text(encoding="utf-8"))
    tasks, answers = results["tables"]
    assert all(float(row["agreement"].split()[0]) < 1e-3 for row in tasks["rows"].values())
    assert {row["agreement"] for row in answers["rows"].values()} == {"4 of 4 answers"}
    assert "# Evaluating a cell" in (tmp_path / "evaluate.md").read_text(encoding="utf-8")
