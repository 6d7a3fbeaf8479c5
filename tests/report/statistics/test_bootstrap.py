import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from scipy import stats

from grads.report.statistics import bootstrap


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
    assert bootstrap.evaluate(name, counts[list(drawn)]) == expected


def test_bleu_is_zero_without_any_match():
    assert bootstrap.evaluate("bleu", np.array([[3, 3, 0, 0, 0, 0, 3, 2, 1, 0]], dtype=float)) == 0


def test_short_answers_are_smoothed_as_sacrebleu_does():
    """None of the answers has a 4-gram in common with its reference, most have not even four words."""
    answers = ["the law", "a claim paid at court", "by the person", "held", "it is owned"]
    references = ["the law of the land", "a claim held at court", "paid by the person", "held by law", "who owned it"]
    counts = np.array(BLEU()._extract_corpus_statistics(answers, [references]), dtype=float)
    expected = BLEU().corpus_score(answers, [references]).score
    assert expected > 0
    assert bootstrap.evaluate("bleu", counts) == expected
    alone = [bootstrap.evaluate("bleu", counts[[index]]) for index in range(5)]
    assert alone == [BLEU().corpus_score([a], [[r]]).score for a, r in zip(answers, references, strict=True)]


@pytest.mark.parametrize(("name", "metric"), [("bleu", BLEU()), ("chrf", CHRF())])
def test_a_replicate_is_the_metric_of_the_texts_it_draws(name, metric):
    """Not of resampled item scores: the texts are written out as often as they are drawn, and scored by sacrebleu."""
    answers, (references,) = _texts(12)
    counts = np.array(metric._extract_corpus_statistics(answers, [references]), dtype=float)
    drawn = bootstrap.replicates(name, bootstrap.group_items(counts), "law")
    weights = bootstrap.group_weights("law", 12).astype(int)
    for index in (0, 7, bootstrap.REPLICATES - 1):
        picked = np.repeat(np.arange(12), weights[index])
        score = metric.corpus_score([answers[i] for i in picked], [[references[i] for i in picked]]).score
        assert drawn[index] == score


def test_a_replicate_of_the_length_ratio_is_that_of_the_same_texts():
    """Those that BLEU's replicate draws; the first two of its columns are all that it takes."""
    answers, (references,) = _texts(12)
    lengths = np.array(BLEU()._extract_corpus_statistics(answers, [references]), dtype=float)[:, :2]
    drawn = bootstrap.replicates("length_ratio", bootstrap.group_items(lengths), "law")
    weights = bootstrap.group_weights("law", 12).astype(int)
    for index in (0, 7, bootstrap.REPLICATES - 1):
        picked = np.repeat(np.arange(12), weights[index])
        score = BLEU().corpus_score([answers[i] for i in picked], [[references[i] for i in picked]])
        assert drawn[index] == score.ratio
    assert drawn.std() > 0


def test_a_replicate_of_a_mean_is_the_mean_of_what_it_draws():
    values = np.random.default_rng(3).normal(size=(9, 1))
    weights = bootstrap.group_weights("quiz", 9).astype(int)
    expected = [np.repeat(values[:, 0], row).mean() for row in weights[:50]]
    np.testing.assert_allclose(
        bootstrap.replicates("mean", bootstrap.group_items(values), "quiz")[:50], expected, rtol=1e-12
    )


def test_the_bootstrap_error_is_scipys():
    values = np.random.default_rng(2).exponential(size=(80, 1))
    theirs = stats.bootstrap((values[:, 0],), np.mean, n_resamples=4000, rng=np.random.default_rng(0)).standard_error
    assert bootstrap.replicates("mean", bootstrap.group_items(values), "law").std() == pytest.approx(theirs, rel=0.05)


def test_the_order_of_columns_is_not_the_order_of_items():
    """A statistic is a function of the sums: reordering items together with their weights changes nothing."""
    answers, (references,) = _texts(10)
    counts = np.array(BLEU()._extract_corpus_statistics(answers, [references]), dtype=float)
    order = np.random.default_rng(1).permutation(10)
    weights = bootstrap.group_weights("law", 10)[:40]
    one, other = (
        bootstrap.bleu(weights @ counts, weights.sum(axis=1)),
        bootstrap.bleu(weights[:, order] @ counts[order], weights.sum(axis=1)),
    )
    assert (one == other).all()


def test_bootstrap_of_a_mean_has_the_standard_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=(200, 1))
    drawn = bootstrap.replicates("mean", bootstrap.group_items(values), "law")
    assert drawn.shape == (bootstrap.REPLICATES,)
    assert drawn.std() == pytest.approx(values.std() / 200**0.5, rel=0.05)


def test_every_replicate_draws_as_many_items_as_there_are():
    weights = bootstrap.group_weights("law", 7)
    assert weights.shape == (bootstrap.REPLICATES, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.1


def test_draws_repeat_and_depend_on_the_item_set():
    first = bootstrap.group_weights("law", 7).copy()
    bootstrap.group_weights.cache_clear()
    assert (bootstrap.group_weights("law", 7) == first).all()
    assert (bootstrap.group_weights("tax", 7) != first).any()


def test_a_replicate_draws_whole_groups_and_divides_by_the_items_that_it_drew():
    values, labels = np.arange(1.0, 8.0)[:, None], ["a", "b", "a", "c", "c", "c", "b"]
    groups = bootstrap.group_items(values, labels)
    np.testing.assert_array_equal(groups.sums[:, 0], [1 + 3, 2 + 7, 4 + 5 + 6])
    np.testing.assert_array_equal(groups.sizes, [2, 2, 3])
    weights = bootstrap.group_weights("law", 3).astype(int)
    members = [[1.0, 3.0], [2.0, 7.0], [4.0, 5.0, 6.0]]
    expected = [np.concatenate([members[g] for g in range(3) for _ in range(row[g])]).mean() for row in weights[:50]]
    np.testing.assert_allclose(bootstrap.replicates("mean", groups, "law")[:50], expected)


def test_a_replicate_of_groups_is_the_metric_of_the_texts_it_draws():
    answers, (references,) = _texts(12)
    counts = np.array(BLEU()._extract_corpus_statistics(answers, [references]), dtype=float)
    drawn = bootstrap.replicates("bleu", bootstrap.group_items(counts, np.repeat(range(4), 3).tolist()), "law")
    for index, row in enumerate(bootstrap.group_weights("law", 4).astype(int)[:3]):
        picked = [item for group in range(4) for _ in range(row[group]) for item in range(3 * group, 3 * group + 3)]
        score = BLEU().corpus_score([answers[i] for i in picked], [[references[i] for i in picked]]).score
        assert drawn[index] == score


def test_groups_of_one_are_the_items_whatever_they_are_called():
    items = np.random.default_rng(1).normal(size=(9, 2))
    alone, named = bootstrap.group_items(items), bootstrap.group_items(items, [f"n{9 - i}" for i in range(9)])
    np.testing.assert_array_equal(alone.sums, named.sums)
    np.testing.assert_array_equal(alone.sizes, named.sizes)
    assert alone.items == named.items == 9


@pytest.mark.parametrize(
    "labels", [(), [i // 4 for i in range(120)], [i // 3 if i < 60 else i // 6 for i in range(120)]]
)
def test_the_closed_form_of_a_mean_is_its_bootstrap(labels):
    """Covariances of two runs too, which is what pairs a difference; groups of unlike sizes to first order."""
    generator = np.random.default_rng(2)
    shared = generator.normal(size=(120, 1))
    groups = [bootstrap.group_items(shared + generator.normal(size=(120, 1)) + 1, labels) for _ in range(2)]
    number = len(groups[0].sizes)
    vectors = np.array([bootstrap.deviations("mean", one, "law") for one in groups])
    drawn = np.array([bootstrap.replicates("mean", one, "law") for one in groups])
    np.testing.assert_allclose(vectors @ vectors.T, np.cov(drawn) * number / (number - 1), rtol=0.15)
    if not labels:
        expected = np.cov([one.sums[:, 0] for one in groups]) / 120
        np.testing.assert_allclose(vectors @ vectors.T, expected)


def test_a_ratio_of_sums_has_the_error_of_its_bootstrap():
    """Bits per byte of texts of unlike length: the sum of bits over that of bytes, and not the mean of quotients."""
    generator = np.random.default_rng(3)
    sizes = generator.integers(50, 600, size=80).astype(float)
    items = np.column_stack([sizes * generator.normal(1.2, 0.2, size=80), sizes])
    assert bootstrap.evaluate("ratio", items) == pytest.approx(items[:, 0].sum() / items[:, 1].sum())
    groups = bootstrap.group_items(items)
    vector, drawn = bootstrap.deviations("ratio", groups, "text"), bootstrap.replicates("ratio", groups, "text")
    assert (vector**2).sum() == pytest.approx(drawn.var() * 80 / 79, rel=0.1)
    # Of texts of one length it is the mean, and its error that of a mean.
    alike = np.column_stack([items[:, 0], np.ones(80)])
    mean = bootstrap.deviations("mean", bootstrap.group_items(alike[:, :1]), "text")
    np.testing.assert_allclose(bootstrap.deviations("ratio", bootstrap.group_items(alike), "text"), mean)


def test_deviations_of_other_metrics_are_their_bootstraps():
    answers, (references,) = _texts(12)
    groups = bootstrap.group_items(np.array(CHRF()._extract_corpus_statistics(answers, [references]), dtype=float))
    vector, drawn = bootstrap.deviations("chrf", groups, "law"), bootstrap.replicates("chrf", groups, "law")
    assert (vector**2).sum() == pytest.approx(drawn.var() * 12 / 11)
