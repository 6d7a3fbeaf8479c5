"""Exact match and token F1: SQuAD's official evaluation, restated here as it was published (version 2.0)."""

import collections
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.evaluation.metrics import exact_match, token_f1
from grads.evaluation.metrics.contract import Setting, references


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return " ".join(remove_articles(remove_punc(s.lower())).split())


def compute_exact(a_gold, a_pred):
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold, a_pred):
    gold_toks, pred_toks = normalize_answer(a_gold).split(), normalize_answer(a_pred).split()
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision, recall = num_same / len(pred_toks), num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


# Short texts of few words, so that some are equal.
ANSWERS = st.lists(st.sampled_from(["a", "The", "cat", "cat's", "1,000", "-", "", "Ünder"]), max_size=5).map(" ".join)
ROWS = st.builds(
    lambda p, r, more: {"prediction": p, "reference": r, "references": more},
    ANSWERS, ANSWERS, st.lists(ANSWERS, max_size=2),
)  # fmt: skip


@given(st.lists(ROWS, min_size=1, max_size=6))
def test_both_are_squads(rows):
    exact = [max(compute_exact(text, row["prediction"]) for text in references(row)) for row in rows]
    f1 = [max(compute_f1(text, row["prediction"]) for text in references(row)) for row in rows]
    assert exact_match.compute(rows, Setting())["items"] == exact
    assert token_f1.compute(rows, Setting())["items"] == pytest.approx(f1)


def test_short_answers_by_hand():
    rows = [
        {"reference": "30 days", "prediction": "The 30 days."},
        {"reference": "within 30 days", "prediction": "30 days"},
        {"reference": "never", "prediction": "always", "references": ["at no time", "Always!"]},
    ]
    assert exact_match.compute(rows, Setting())["items"] == [1, 0, 1]
    assert token_f1.compute(rows, Setting())["items"] == pytest.approx([1, 0.8, 1])
    assert exact_match.compute(rows, Setting())["signature"] == "nrefs:var|norm:squad"


def test_chinese_is_compared_by_characters_without_its_punctuation(chinese):
    f1 = token_f1.compute(chinese, Setting("zh"))["items"]
    assert f1[0] == pytest.approx(2 * 6 / (6 + 9))  # 甲方承担责任 in 甲方应承担违约责任
    assert f1[1] == pytest.approx(2 * 5 / (5 + 6))  # 3000 is one word.
    assert exact_match.compute(chinese, Setting("zh"))["items"] == [0, 0, 1]
    same = [{"reference": "责任。", "prediction": "责任"}]
    assert exact_match.compute(same, Setting("zh"))["value"] == 1
    assert exact_match.compute(same, Setting("en"))["value"] == 0


def test_articles_are_english_words():
    rows = [{"reference": "a casa", "prediction": "casa"}]
    assert [exact_match.compute(rows, Setting(language))["value"] for language in ("en", "other")] == [1, 0]
