"""METEOR: NLTK's own function on the same words."""

import nltk.tokenize
import pytest
from nltk.translate.meteor_score import meteor_score

from grads.data.sources.wordnet import open_wordnet
from grads.evaluation.metrics.contract import Setting, references
from grads.evaluation.metrics.meteor import compute, english_words
from grads.runtime.errors import GradsError

ANSWERS = [
    ["Take it twice a day.", "Do not drive!", "Questions?", "Call us."],
    ['He asked, "Is it safe?"', "It is (mostly.)", "'Yes.'"],
    ["The dose is 2.5 mg... or more.", "See www.example.org/a.b for it."],
    ["Signs are:\n- fever.", "- pain.", "The rest is rare!", "It can't be told"],
    ["One sentence without an end"],
    ["He paid $3.88.", "It isn't much; they're cheap."],
]
"""Sentences of texts, each separated from the next by a space."""


@pytest.fixture
def reference_words(monkeypatch):
    """NLTK's `word_tokenize` as the reference programs call it, with sentences that are given by hand for Punkt's."""
    by_text = {" ".join(sentences): sentences for sentences in ANSWERS}
    monkeypatch.setattr(nltk.tokenize, "sent_tokenize", lambda text, language: by_text[text])
    return nltk.tokenize.word_tokenize


@pytest.mark.parametrize("sentences", ANSWERS)
def test_words_are_nltks_with_sentences_given_by_hand(reference_words, sentences):
    """Whatever white space stands between the sentences."""
    text = " ".join(sentences)
    assert english_words(text) == english_words("\n\n".join(sentences)) == reference_words(text)


def test_a_period_is_a_word_at_the_end_of_each_sentence():
    """Without sentences it would be one at the end of the text only."""
    assert english_words("It hurts. Go home.") == ["It", "hurts", ".", "Go", "home", "."]
    assert english_words(" \n") == english_words("") == []
    assert english_words("Dr. Lee left.") == ["Dr", ".", "Lee", "left", "."]  # No abbreviations are known.


def test_a_word_before_a_period_inside_an_answer_has_its_match(wordnet_folder):
    (item,) = compute([{"reference": "It hurts. Go home.", "prediction": "it hurts"}], Setting("en", wordnet_folder))[
        "items"
    ]
    # Two of two words match, two of six, in one chunk.
    precision, recall = 1, 2 / 6
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert item == pytest.approx(mean * (1 - 0.5 * (1 / 2) ** 3))


def test_it_is_nltks_with_one_reference_and_several(wordnet_folder, rows, several):
    wordnet = open_wordnet(wordnet_folder)
    for given in (rows, several):
        found = compute(given, Setting("en", wordnet_folder))
        expected = [
            meteor_score(
                [english_words(text) for text in references(row)], english_words(row["prediction"]), wordnet=wordnet
            )
            for row in given
        ]
        assert found["items"] == expected
        assert found["value"] == sum(expected) / len(expected)
    assert compute(rows, Setting("en", wordnet_folder))["items"][0] == pytest.approx(0.99902, abs=5e-6)
    assert compute(rows, Setting("en", wordnet_folder))["items"][2] == 0
    assert "|sent:punkt,untrained|tok:word_tokenize|stem:porter|wordnet:3.0|" in found["signature"]
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
