"""DSIR by hand, against counting in plain Python, and its draws against probabilities."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nltk.tokenize import wordpunct_tokenize
from sklearn.utils import murmurhash3_32

from grads.selection.contract import Inputs
from grads.selection.methods.dsir import METHOD, TOKEN, Dsir, bucket_counts

Make = Callable[..., Inputs]


def table(texts: list[str], letter: str = "r") -> pd.DataFrame:
    """Return a table whose records have each text as output, with neither instruction nor input."""
    ids = [f"{letter}{index:03}" for index in range(len(texts))]
    return pd.DataFrame({"id": ids, "instruction": "", "input": "", "output": texts, "source": ""})


def made(inputs_of: Make, train: list[str], validation: list[str], count: int = 1, seed: int = 0) -> Inputs:
    return inputs_of({}, count, seed, {"train": table(train), "validation": table(validation, "v")})


def test_three_records_by_hand(inputs_of: Make) -> None:
    # N-grams of the pool: a 3, b 1, c 1, a b 1, a c 1, of 7; of the target: a 1, b 2, a b 1, b b 1, of 5. With 1 in
    # each of 10,000 buckets a has 2, b 3, c 1, "a b" 2 and "a c" 1 of 10,005.
    inputs = made(inputs_of, ["a b", "A c", "a"], ["a b b"], 3)
    a, b, c, ab, ac = (math.log(x * 7 / (10_005 * y)) for x, y in [(2, 3), (3, 1), (1, 1), (2, 1), (1, 1)])
    choice = METHOD.select(inputs, Dsir(rule="highest"))
    np.testing.assert_allclose(choice.score, [a + b + ab, a + c + ac, a])
    assert choice.order is not None
    assert choice.order.tolist() == np.argsort(-choice.score).tolist()


TRAIN = ["Take 5 mg, daily.", "The court (of law) held: it's void!", "take take TAKE 5mg", "naïve café - 東京 x_1", ""]
TARGET = ["Take 2 mg daily", "5 mg is the dose, daily."]


def plain_words(text: str) -> list[str]:
    """Return NLTK's words, but for what has no spaces: each character is one."""
    return wordpunct_tokenize(text.lower().replace("東京", "東 京"))


def plain_counts(text: str, buckets: int) -> Counter[int]:
    words = plain_words(text)
    grams = words + [f"{first} {second}" for first, second in itertools.pairwise(words)]
    return Counter(abs(murmurhash3_32(gram.encode(), seed=0)) % buckets for gram in grams)


@pytest.mark.parametrize("buckets", [1, 7, 10_000])
@pytest.mark.parametrize("smoothing", [1.0, 0.01])
def test_weights_are_those_of_counting(buckets: int, smoothing: float, inputs_of: Make) -> None:
    train, target = [[plain_counts(text, buckets) for text in texts] for texts in (TRAIN, TARGET)]
    there, wanted = sum(train, Counter()), sum(target, Counter())
    total = wanted.total() + smoothing * buckets
    expected = [
        sum(
            times * math.log((wanted[bucket] + smoothing) / total / (there[bucket] / there.total()))
            for bucket, times in counts.items()
        )
        for counts in train
    ]
    inputs = made(inputs_of, TRAIN, TARGET)
    choice = METHOD.select(inputs, Dsir(rule="highest", buckets=buckets, smoothing=smoothing))
    np.testing.assert_allclose(choice.score, expected, atol=1e-9)


def test_words_are_those_of_nltk_and_single_characters() -> None:
    for text in TRAIN + TARGET:
        assert re.findall(TOKEN, text.lower()) == plain_words(text)
        assert bucket_counts(table([text]), 10_000)[1].tolist() == [len(plain_words(text))]
    assert re.findall(TOKEN, "什么是GPT。。") == ["什", "么", "是", "GPT", "。。"]


def test_all_parts_of_a_record_are_read_as_one_text() -> None:
    parts = pd.DataFrame({"id": ["r"], "instruction": "take", "input": None, "output": "5 mg"})
    whole = table(["take 5 mg"])
    assert (bucket_counts(parts, 100)[0] != bucket_counts(whole, 100)[0]).nnz == 0


def test_short_records_are_not_kept(inputs_of: Make) -> None:
    choice = METHOD.select(made(inputs_of, TRAIN, TARGET, 5), Dsir(rule="highest", minimum_tokens=5))
    words = [len(plain_words(text)) for text in TRAIN]
    assert choice.order is not None
    assert sorted(choice.order.tolist()) == [place for place in range(5) if words[place] >= 5]
    assert choice.notes["too_short"] == sum(word < 5 for word in words)


def test_the_notes_have_the_lengths_by_which_it_selects(inputs_of: Make) -> None:
    # All of one domain, so that every word speaks about alike, and the fewest words speak least against a record.
    words = np.random.default_rng(0).choice(list("abcdefgh"), size=(60, 40))
    lengths = np.random.default_rng(1).integers(2, 40, 60)
    train = [" ".join(row[:length]) for row, length in zip(words, lengths, strict=True)]
    inputs = made(inputs_of, train, [" ".join(words[0]) + " new words here"], 12)
    for rule in ("sample", "highest"):
        choice = METHOD.select(inputs, Dsir(rule=rule))
        assert choice.order is not None
        assert choice.notes["mean_words"] == pytest.approx(lengths[choice.order].mean(), abs=1e-3)
        assert choice.notes["mean_words_of_pool"] == pytest.approx(lengths.mean(), abs=1e-3)
        assert choice.notes["mean_words"] < 0.5 * choice.notes["mean_words_of_pool"]
    none = METHOD.select(inputs, Dsir(minimum_tokens=100))
    assert none.notes["mean_words"] is None


def test_draws_are_proportional_to_the_weights(inputs_of: Make) -> None:
    counts = np.zeros(3)
    for seed in range(400):
        order = METHOD.select(made(inputs_of, ["a", "b", "c"], ["a a b"], 1, seed), Dsir(smoothing=0.5)).order
        assert order is not None
        counts[order[0]] += 1
    # One word each in the pool, so weights are the target's 2.5, 1.5 and 0.5 (and pairs are in buckets of nobody).
    expected = 400 * np.array([2.5, 1.5, 0.5]) / 4.5
    # The standard deviation of a count is at most 10.
    np.testing.assert_allclose(counts, expected, atol=40)


def test_a_record_keeps_its_noise_in_another_pool(inputs_of: Make) -> None:
    def noise(train: list[str], **given: Any) -> np.ndarray:
        inputs = made(inputs_of, train, TARGET, **given)
        return METHOD.select(inputs, Dsir()).score - METHOD.select(inputs, Dsir(rule="highest")).score

    np.testing.assert_allclose(noise(TRAIN)[:2], noise(TRAIN[:2]))
    assert not np.allclose(noise(TRAIN), noise(TRAIN, seed=1))
