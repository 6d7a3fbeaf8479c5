import numpy as np
import pytest

from grads.report.statistics.bootstrap import REPLICATES, group_items, group_weights
from grads.report.statistics.draws import crossed_draws, seed_weights
from grads.report.statistics.samples import Sample, difference, measured


def sample_of(scores, key="law", cells="tiny/law"):
    """Return the sample of a mean, of scores of shape (seeds, items)."""
    groups = [group_items(row[:, None]) for row in scores]
    return measured(scores.mean(axis=1).tolist(), groups, "mean", key, cells)


@pytest.fixture
def scores():
    luck = np.random.default_rng(0)
    items = luck.normal(scale=0.3, size=(1, 60))
    seeds = luck.normal(scale=0.1, size=(8, 1))
    return 1 + items + seeds + luck.normal(scale=0.05, size=(8, 60))


def test_draws_are_means_over_drawn_items_and_seeds(scores):
    drawn = crossed_draws(sample_of(scores))
    weights = group_weights("law", 60) / 60
    by_seed = weights @ scores.T
    # What makes up for the narrowness of the bootstrap stretches each part about the mean.
    stretched = scores.mean(axis=1) + (by_seed - scores.mean(axis=1)) * np.sqrt(60 / 59)
    assert drawn == pytest.approx((stretched * seed_weights("tiny/law", 8)).sum(axis=1))


def test_their_spread_is_the_standard_error_or_a_little_more(scores):
    sample = sample_of(scores)
    assert 0.95 < crossed_draws(sample).std() / sample.estimate().error < 1.15


def test_all_quantities_meet_the_same_draws(scores):
    one, other = sample_of(scores), sample_of(scores + np.linspace(-1, 1, 60))
    apart = crossed_draws(one) - crossed_draws(other)
    assert apart == pytest.approx(crossed_draws(difference(one, other)))
    assert crossed_draws(difference(one, sample_of(scores - 0.5))) == pytest.approx(np.full(REPLICATES, 0.5))


def test_weights_of_seeds_add_up_and_vary_as_the_variance_of_a_mean_does():
    weights, values = seed_weights("tiny/law", 5), np.array([0.0, 1.0, 3.0, 4.0, 7.0])
    assert weights.sum(axis=1) == pytest.approx(np.ones(REPLICATES))
    assert (weights @ values).var() == pytest.approx(values.var(ddof=1) / 5, rel=0.1)


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_too_few_seeds_or_no_items_there_are_none(scores, seeds):
    assert crossed_draws(sample_of(scores[:seeds])) is None
    assert crossed_draws(Sample({"tiny/law": np.arange(3.0)}, None, 1.0)) is None
