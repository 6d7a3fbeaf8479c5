import json

import numpy as np
import pytest
import sacrebleu
from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import meteor_score
from sacrebleu.metrics import BLEU, CHRF

from grads.data.wordnet import open_wordnet
from grads.evaluate.metrics import bleu, chrf, compute_metrics, meteor
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json

PAIRS = [
    ("the doctor prescribed a drug for the sickness", "The physician prescribed a drug for the illness"),
    ("a legal document that states rights, and duties of the parties.", "a document stating rights and duties"),
    ("", "money that is owed"),
    ("money that is owed", "money that is owed"),
    ("word", "an entirely different sentence about something else"),
]
ROWS = [
    {
        "id": str(n), "prompt": "?", "reference": reference, "prediction": prediction,
        "response_nll": 1.5 + n, "response_tokens": 3, "new_tokens": 4 * n, "capped": n == 2,
    }
    for n, (prediction, reference) in enumerate(PAIRS)
]  # fmt: skip
PREDICTIONS, REFERENCES = [p for p, _ in PAIRS], [r for _, r in PAIRS]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_bleu_is_sacrebleus_and_its_counts_make_it_up():
    found = bleu(ROWS)
    assert found["value"] == sacrebleu.corpus_bleu(PREDICTIONS, [REFERENCES]).score
    sums = {key: [sum(c[key][k] for c in found["counts"]) for k in range(4)] for key in ("correct", "total")} | {
        key: sum(c[key] for c in found["counts"]) for key in ("sys_len", "ref_len")
    }
    assert BLEU.compute_bleu(**sums).score == found["value"]
    assert found["items"][3] == pytest.approx(100)
    assert found["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_chrf_is_sacrebleus_and_its_counts_make_it_up():
    found = chrf(ROWS)
    assert found["value"] == sacrebleu.corpus_chrf(PREDICTIONS, [REFERENCES]).score
    sums = [sum(column) for column in zip(*found["counts"], strict=True)]
    assert CHRF()._compute_f_score(sums) == found["value"]
    assert found["items"] == [sacrebleu.sentence_chrf(p, [r]).score for p, r in PAIRS]


def test_meteor_is_nltks(wordnet_folder):
    wordnet = open_wordnet(wordnet_folder)
    found = meteor(ROWS, wordnet)
    expected = [
        meteor_score(
            [word_tokenize(reference, preserve_line=True)],
            word_tokenize(prediction, preserve_line=True),
            wordnet=wordnet,
        )
        for prediction, reference in PAIRS
    ]
    assert found["items"] == expected
    assert found["value"] == sum(expected) / len(expected)
    assert found["items"][0] == pytest.approx(0.99902, abs=5e-6)
    assert found["items"][2] == 0
    assert "wordnet:3.0" in found["signature"]


def test_file_holds_what_was_asked_and_the_lengths(tmp_path, wordnet_folder):
    predictions = write(tmp_path / "predictions.jsonl", ROWS)
    compute_metrics(predictions, ["bleu", "meteor", "chrf", "response_nll"], wordnet_folder, tmp_path / "metrics.json")
    found = read_json(tmp_path / "metrics.json")
    assert set(found) == {"bleu", "meteor", "chrf", "response_nll", "capped", "new_tokens"}
    assert {metric["n"] for metric in found.values()} == {len(ROWS)}
    assert found["bleu"] == bleu(ROWS)
    assert found["response_nll"]["value"] == 3.5
    assert found["capped"]["value"] == 0.2
    assert found["new_tokens"]["value"] == 8
    assert not list(tmp_path.glob(".*"))


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(GradsError, match=r"empty.jsonl is empty"):
        compute_metrics(write(tmp_path / "empty.jsonl", []), ["bleu"], None, tmp_path / "metrics.json")
    predictions = write(tmp_path / "predictions.jsonl", ROWS)
    with pytest.raises(GradsError, match=r"set 'evaluation.wordnet'"):
        compute_metrics(predictions, ["meteor"], None, tmp_path / "metrics.json")
    bare = write(tmp_path / "bare.jsonl", [{"reference": "a", "prediction": "b"}])
    with pytest.raises(GradsError, match=r"bare.jsonl:1 has no 'capped'"):
        compute_metrics(bare, ["response_nll"], None, tmp_path / "metrics.json")
    assert not (tmp_path / "metrics.json").exists()


def test_counts_of_items_are_those_of_the_long_tables_statistics():
    """The bootstrap sums these counts: on the items as they are it must give the value itself."""
    from grads.tables.measurements import _domain_items
    from grads.tables.statistics import evaluate

    for name, compute in (("bleu", bleu), ("chrf", chrf)):
        statistic, items = _domain_items(name, compute(ROWS))
        assert evaluate(statistic, np.array(items, dtype=float)) == compute(ROWS)["value"]


@pytest.mark.parametrize("compute", [bleu, chrf])
def test_the_order_of_items_does_not_matter(compute):
    found, turned = compute(ROWS), compute(ROWS[::-1])
    assert found["value"] == turned["value"]
    assert found["items"] == turned["items"][::-1]
    assert found["counts"] == turned["counts"][::-1]


def test_meteor_alone_does_not_see_upper_and_lower_case(wordnet_folder):
    wordnet = open_wordnet(wordnet_folder)
    shouted = [row | {"prediction": row["prediction"].upper()} for row in ROWS]
    assert meteor(shouted, wordnet)["items"] == meteor(ROWS, wordnet)["items"]
    assert bleu(shouted)["value"] < bleu(ROWS)["value"]


def test_items_of_bleu_are_for_display_and_never_zero_for_short_answers():
    """With effective order, as sacrebleu's own sentence scores: a right answer of one word has 100."""
    rows = [{"reference": text, "prediction": text} for text in ("tort", "civil wrong", "a b c d e")]
    assert bleu(rows)["items"] == pytest.approx([100, 100, 100])
    assert bleu(rows)["items"] == [sacrebleu.sentence_bleu(r["prediction"], [r["reference"]]).score for r in rows]


def test_the_line_that_lacks_a_field_is_named(tmp_path):
    rows = [ROWS[0], {name: value for name, value in ROWS[1].items() if name != "response_nll"}]
    predictions = write(tmp_path / "predictions.jsonl", rows)
    with pytest.raises(GradsError, match=r"predictions\.jsonl:2 has no 'response_nll', which its metrics need"):
        compute_metrics(predictions, ["bleu", "response_nll"], None, tmp_path / "metrics.json")
    # A field that no metric needs may be missing.
    compute_metrics(predictions, ["bleu"], None, tmp_path / "metrics.json")
    assert set(read_json(tmp_path / "metrics.json")) == {"bleu", "capped", "new_tokens"}


def test_predictions_of_another_tool_need_no_lengths(tmp_path):
    bare = write(tmp_path / "bare.jsonl", [{"reference": "a b", "prediction": "a b"}])
    compute_metrics(bare, ["chrf"], None, tmp_path / "metrics.json", beside=())
    assert read_json(tmp_path / "metrics.json") == {"chrf": chrf([{"reference": "a b", "prediction": "a b"}])}
