"""ROUGE-L: the package rouge-score, and the longest common subsequence by its definition."""

import pytest
from rouge_score.rouge_scorer import RougeScorer

from grads.evaluation.metrics.contract import Setting, references
from grads.evaluation.metrics.rouge_l import compute
from grads.evaluation.metrics.tokenizing import split_words


def longest(first, second):
    """Return the length of the longest common subsequence, by its recursion."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_it_is_rouge_scores(several):
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    expected = [
        max(scorer.score(text, row["prediction"])["rougeL"].fmeasure for text in references(row)) for row in several
    ]
    found = compute(several, Setting())
    assert found["items"] == expected
    assert found["value"] == pytest.approx(sum(expected) / 5)
    assert found["items"][2:4] == [0, 1]
    assert found["signature"].endswith("|tok:rouge-score|stem:no|f1")


def test_chinese_is_the_longest_common_subsequence_of_characters(chinese):
    expected = []
    for row in chinese:
        found = split_words(row["prediction"], "zh")
        pairs = [(longest(found, words), len(words)) for words in (split_words(t, "zh") for t in references(row))]
        expected.append(max(2 * common / (len(found) + length) for common, length in pairs))
    assert compute(chinese, Setting("zh"))["items"] == pytest.approx(expected)
    # rouge-score's own words are those of ASCII: nothing of the first answer would be left.
    assert compute(chinese, Setting("en"))["items"][0] == 0
