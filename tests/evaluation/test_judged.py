"""Judgements on a study's answers: checked as a whole, and written for each cell."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grads.config.evaluation import Judgements
from grads.evaluation.judged import SHOWN, write_judgements
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, write_jsonl

CELLS = ("tiny/law/full/1/0", "tiny/law/random/0.5/0")
IDS = ("a1", "b2", "c3")


@pytest.fixture
def predictions(tmp_path):
    """Answers of two cells to three questions, two of which belong together; one answer has line breaks."""
    paths = {}
    for cell in CELLS:
        rows = [
            {"id": id_, "prompt": "?", "reference": "r", "prediction": f'{cell}, says\n"{id_}"', "capped": False}
            for id_ in IDS
        ]
        rows[0]["group"] = rows[2]["group"] = "page"
        paths[cell] = tmp_path / "runs" / cell / "predictions.jsonl"
        write_jsonl(paths[cell], rows)
    return paths


def judged(predictions, verdicts=(1, 0, 0.5)):
    """Rows as somebody writes them who reads predictions.jsonl, those of the last cell first."""
    return [
        {"cell": cell, "verdict": verdict, **json.loads(line)}
        for cell in reversed(CELLS)
        for line, verdict in zip(predictions[cell].read_text().splitlines(), verdicts, strict=True)
    ]


def write_csv(path, rows):
    with path.open("w", newline="") as handle:
        names = ["cell", "id", "prediction", "verdict"]
        writer = csv.DictWriter(handle, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist([{k: v for k, v in row.items() if k != "group"} for row in rows]), path)


@pytest.mark.parametrize(
    ("name", "write"), [("j.jsonl", write_jsonl), ("j.csv", write_csv), ("j.parquet", write_parquet)]
)
def test_every_cell_has_the_metric_in_the_order_of_its_answers(tmp_path, predictions, name, write):
    write(tmp_path / name, judged(predictions)[::-1])
    write_judgements(Judgements(path=str(tmp_path / name), by="a judge"), predictions, tmp_path / "judgements")
    for cell in CELLS:
        found = read_json(tmp_path / "judgements" / f"{cell}.json")
        assert found["verdict"]["items"] == [1.0, 0.0, 0.5]
        assert (found["verdict"]["value"], found["verdict"]["n"]) == (0.5, 3)
        assert found["groups"] == ["page", "prediction 1", "page"]
        assert found["verdict"]["signature"].startswith("by:a judge|worst:0|best:1|sha256:")


def test_the_signature_is_the_files(tmp_path, predictions):
    """Judgements of two files are not compared, whatever they are called; the scale is part of it."""
    signatures = []
    for name, verdicts, best in (("a", (1, 0, 1), 1), ("b", (1, 0, 1), 1), ("b", (1, 1, 1), 1), ("b", (1, 1, 1), 5)):
        write_jsonl(tmp_path / f"{name}.jsonl", judged(predictions, verdicts))
        write_judgements(Judgements(path=str(tmp_path / f"{name}.jsonl"), best=best), predictions, tmp_path / "out")
        signatures.append(read_json(tmp_path / "out" / f"{CELLS[0]}.json")["verdict"]["signature"])
    assert signatures[0] == signatures[1]
    assert len(set(signatures)) == 3


def sentences(tmp_path, predictions, rows):
    path = tmp_path / "judged.jsonl"
    write_jsonl(path, rows)
    with pytest.raises(GradsError) as error:
        write_judgements(Judgements(path=str(path)), predictions, tmp_path / "judgements")
    assert not (tmp_path / "judgements").exists()
    return [sentence.removeprefix(f"{path}") for sentence in error.value.sentences]


def test_each_mistake_is_a_sentence_with_its_line(tmp_path, predictions):
    rows = judged(predictions)
    rows[0]["cell"] = "tiny/law/randon/0.5/0"
    rows[1]["id"] = "zz"
    rows[2]["prediction"] += " more"
    rows[3]["verdict"] = "good"
    rows[4]["verdict"] = 1.5
    del rows[5]["prediction"]
    found = sentences(tmp_path, predictions, rows)
    assert [sentence.partition(":")[2].partition(":")[0] for sentence in found] == list("123456")
    for sentence, part in zip(
        found,
        (
            "'tiny/law/randon/0.5/0' is no cell of this study: did you mean 'tiny/law/random/0.5/0'",
            f"'zz' is no id in {predictions[CELLS[1]]}",
            f"not the answer to c3 in {predictions[CELLS[1]]}",
            "'verdict' is 'good', no number",
            "'verdict' is 1.5: write a number from 0 to 1",
            "there is no 'prediction'",
        ),
        strict=True,
    ):
        assert part in sentence


def test_two_verdicts_on_one_answer_are_named_with_both_lines(tmp_path, predictions):
    rows = judged(predictions)
    (one,) = sentences(tmp_path, predictions, [*rows, rows[1] | {"verdict": 1}])
    assert one.startswith(f":7: the answer to b2 of {CELLS[1]} has a judgement at ")
    assert "judged.jsonl:2 already" in one


def test_answers_without_a_verdict_are_counted_by_run(tmp_path, predictions):
    (one,) = sentences(tmp_path, predictions, judged(predictions)[:-2])
    assert f"has no judgement on 2 of the 3 answers in {predictions[CELLS[0]]}, such as that to b2" in one
    assert len(sentences(tmp_path, predictions, [])) == 2


def test_of_many_mistakes_the_first_are_named_and_all_are_counted(tmp_path, predictions):
    found = sentences(tmp_path, predictions, [{"cell": "x"}] * (SHOWN + 5))
    assert len(found) == SHOWN + 1
    assert "5 more mistakes" in found[-1]
