import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from grads.tables import statistics


def _texts(items: int) -> tuple[list[str], list[list[str]]]:
    luck = random.Random(5)
    references = [
        [luck.choice("abcdefgh") * luck.randint(1, 3) for _ in range(luck.randint(2, 9))] for _ in range(items)
    ]
    answers = [[word if luck.random() < 0.7 else "z" for word in words[: luck.randint(1, 9)]] for words in references]
    return [" ".join(words) for words in answers], [[" ".join(words) for words in references]]


@pytest.mark.parametrize(("name", "metric"), [("bleu", BLEU()), ("chrf", CHRF())])
@pytest.mark.parametrize("drawn", [range(30), [3] * 30, [0, 0, 1, 7, 29]])
def test_corpus_metrics_from_summed_counts_equal_sacrebleu(name, metric, drawn):
    answers, (references,) = _texts(30)
    counts = np.array(metric._extract_corpus_statistics(answers, [references]), dtype=float)
    expected = metric.corpus_score([answers[i] for i in drawn], [[references[i] for i in drawn]]).score
    assert statistics.evaluate(name, counts[list(drawn)]) == expected


def test_bleu_is_zero_without_any_match():
    assert statistics.evaluate("bleu", np.array([[3, 3, 0, 0, 0, 0, 3, 2, 1, 0]], dtype=float)) == 0


def test_bootstrap_of_a_mean_has_the_standard_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=(200, 1))
    drawn = statistics.replicates("mean", values, "law")
    assert drawn.shape == (statistics.REPLICATES,)
    assert drawn.std() == pytest.approx(values.std() / 200**0.5, rel=0.05)
    low, high = statistics.interval(drawn)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 200**0.5, rel=0.08)


def test_bootstrap_interval_of_a_mean_covers_it():
    generator, covered = np.random.default_rng(1), 0
    for _ in range(400):
        low, high = statistics.interval(statistics.replicates("mean", generator.exponential(size=(60, 1)), "law"))
        covered += low <= 1 <= high
    assert 0.90 <= covered / 400 <= 0.98


def test_every_replicate_draws_as_many_items_as_there_are():
    weights = statistics.item_weights("law", 7)
    assert weights.shape == (statistics.REPLICATES, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.1


def test_draws_repeat_and_depend_on_the_item_set():
    first = statistics.item_weights("law", 7).copy()
    statistics.item_weights.cache_clear()
    assert (statistics.item_weights("law", 7) == first).all()
    assert (statistics.item_weights("tax", 7) != first).any()
