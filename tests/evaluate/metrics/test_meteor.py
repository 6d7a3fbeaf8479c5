"""METEOR: NLTK's own function on the same words."""

import pytest
from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import meteor_score

from grads.data.wordnet import open_wordnet
from grads.evaluate.metrics.contract import Setting, references
from grads.evaluate.metrics.meteor import compute
from grads.runtime.errors import GradsError


def words(text):
    return word_tokenize(text, preserve_line=True)


def test_it_is_nltks_with_one_reference_and_several(wordnet_folder, rows, several):
    wordnet = open_wordnet(wordnet_folder)
    for given in (rows, several):
        found = compute(given, Setting("en", wordnet_folder))
        expected = [
            meteor_score([words(text) for text in references(row)], words(row["prediction"]), wordnet=wordnet)
            for row in given
        ]
        assert found["items"] == expected
        assert found["value"] == sum(expected) / len(expected)
    assert compute(rows, Setting("en", wordnet_folder))["items"][0] == pytest.approx(0.99902, abs=5e-6)
    assert compute(rows, Setting("en", wordnet_folder))["items"][2] == 0
    assert "wordnet:3.0" in found["signature"]
    assert found["signature"].startswith("nrefs:var|nltk:")


def test_the_best_reference_counts(wordnet_folder, rows, several):
    setting = Setting("en", wordnet_folder)
    one, more = compute(rows, setting)["items"], compute(several, setting)["items"]
    assert all(a <= b for a, b in zip(one, more, strict=True))
    assert one[4] == 0 < more[4]


def test_upper_and_lower_case_are_the_same(wordnet_folder, rows):
    setting = Setting("en", wordnet_folder)
    shouted = [row | {"prediction": row["prediction"].upper()} for row in rows]
    assert compute(shouted, setting)["items"] == compute(rows, setting)["items"]


def test_chinese_is_compared_by_characters_and_needs_no_wordnet(chinese):
    found = compute(chinese, Setting("zh"))
    assert found["items"][2] == pytest.approx(1 - 0.5 / 3**3)  # Three words in one chunk: apple, 公, 司.
    assert 0 < found["items"][0] < 1
    assert "tok:sacrebleu-zh-" in found["signature"]
    assert "wordnet:no" in found["signature"]


def test_other_languages_have_no_english_stems():
    """`Banks` has the English stem of `Bank`, and is another German word."""
    rows = [{"reference": "die Bank zahlt", "prediction": text} for text in ("die Bank zahlt", "die Banks zahlt")]
    same, stemmed = compute(rows, Setting("other"))["items"]
    assert stemmed < same == pytest.approx(1 - 0.5 / 3**3)
    assert "stem:no" in compute(rows, Setting("other"))["signature"]


def test_english_without_wordnet_is_refused(rows):
    with pytest.raises(GradsError, match=r"set 'evaluation.wordnet'"):
        compute(rows, Setting("en"))
