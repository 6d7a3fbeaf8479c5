"""BM25 by hand, and straight from its formula."""

import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.data.compared_words import WORD
from grads.selection.contract import Choice, Inputs
from grads.selection.methods import bm25
from grads.selection.methods.bm25 import METHOD, Bm25


def table(texts: list[str], letter: str = "r") -> pd.DataFrame:
    """Return records whose text is cut in two: instruction and output."""
    rows = [text.partition("|") for text in texts]
    return pd.DataFrame(
        {
            "id": [f"{letter}{place:03}" for place in range(len(rows))],
            "instruction": [row[0] for row in rows],
            "input": "",
            "output": [row[2] for row in rows],
        }
    )


def choose(train: list[str], validation: list[str], count: int = 1, **parameters: Any) -> Choice:
    records = table(train)
    texts = {"train": records, "validation": table(validation, "v")}
    return METHOD.select(Inputs({"tokens": records[["id"]]}, {}, {}, count, 0, texts), Bm25(**parameters))


def plain(train: list[str], validation: list[str], k1: float = 1.5, b: float = 0.75) -> np.ndarray:
    """Return N x Q scores, word by word."""
    documents, queries = ([re.findall(WORD, text.lower()) for text in texts] for texts in (train, validation))
    mean = sum(map(len, documents)) / len(documents)
    having = {word: sum(word in one for one in documents) for word in {word for one in documents for word in one}}
    scores = np.zeros((len(documents), len(queries)))
    for row, words in enumerate(documents):
        for column, query in enumerate(queries):
            for word in query:
                count = words.count(word)
                if count:
                    idf = math.log(1 + (len(documents) - having[word] + 0.5) / (having[word] + 0.5))
                    scores[row, column] += idf * count / (count + k1 * (1 - b + b * len(words) / mean))
    return scores


def test_two_records_by_hand() -> None:
    # Both of two words, so that only k1 holds back: 1 / (1 + 1.5) of idf, log 2 for a word of one record of two.
    choice = choose(["red cat", "blue cat"], ["red"])
    assert choice.score.tolist() == pytest.approx([math.log(2) / 2.5, 0], abs=1e-6)
    # A word of both: log(1 + 0.5 / 2.5).
    assert choose(["red cat", "blue cat"], ["cat"]).score.tolist() == pytest.approx([math.log(1.2) / 2.5] * 2, abs=1e-6)
    assert choice.notes == {"words": 3, "mean_words": 2.0, "mean_words_of_pool": 2.0}


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (1.2, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_scores_are_those_of_the_formula(aggregate: str, k1: float, b: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "CHUNK", 40)
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(12)]
    train, validation = (
        [" ".join(random.choice(words, random.integers(1, 20))) for _ in range(size)] for size in (15, 4)
    )
    choice = choose(train, validation, k1=k1, b=b, aggregate=aggregate)
    expected = getattr(plain(train, validation, k1, b), aggregate)(axis=1)
    np.testing.assert_allclose(choice.score, expected, atol=1e-6)


def test_a_target_may_count_without_its_answer() -> None:
    train, validation = ["asked", "told"], ["asked|told"]
    assert choose(train, validation).score.tolist()[1] > 0
    assert choose(train, validation, query="prompt").score.tolist()[1] == 0


def test_letters_are_alike_in_any_case_and_chinese_is_read_letter_by_letter() -> None:
    assert choose(["Red", "blue"], ["RED"]).score[0] > 0
    found = choose(["心脏", "肝脏"], ["心"])
    assert found.score[0] > found.score[1] == 0


def test_texts_without_words_are_all_alike() -> None:
    assert choose(["...", "!"], ["?"]).score.tolist() == [0, 0]
    assert choose(["red", "blue"], ["?"]).score.tolist() == [0, 0]
