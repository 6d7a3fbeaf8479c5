"""The policy on tasks whose best answer is known, and its gradient by differences."""

import numpy as np
import pytest

from grads.selection.algorithms.constrained_policy import Episode, Policy, Settings, advantages, drawn, likeliest


class Bandit:
    """Ten steps; each action has a reward and a cost of its own."""

    def __init__(self, rewards: list[float], costs: list[float]) -> None:
        self.rewards, self.costs = rewards, costs
        self.reset()

    def reset(self) -> None:
        self.steps = 0

    @property
    def done(self) -> bool:
        return self.steps == 10

    def features(self) -> tuple[np.ndarray, np.ndarray]:
        return np.eye(len(self.rewards)), np.ones(len(self.rewards), dtype=bool)

    def step(self, action: int) -> tuple[float, float]:
        self.steps += 1
        return self.rewards[action], self.costs[action]


@pytest.mark.parametrize(("budget", "best"), [(100.0, 0), (0.0, 1)])
def test_the_best_action_that_the_budget_allows_is_learnt(budget: float, best: int) -> None:
    bandit = Bandit([1.0, 0.6, 0.1], [1.0, 0.0, 0.0])
    policy = Policy(3)
    policy.learn(bandit, budget, np.random.default_rng(0), Settings(rounds=60))
    episode = policy.run(bandit, None)
    assert episode.actions == [best] * 10
    assert (policy.multiplier > 0) == (budget == 0)


def test_the_multiplier_grows_by_the_cost_above_the_budget_and_is_never_below_zero() -> None:
    bandit = Bandit([1.0, 1.0], [0.3, 0.3])
    for budget, multiplier in ((1.0, 1.0), (3.0, 0.0), (5.0, 0.0)):
        policy = Policy(2)
        # An episode of ten steps costs 3.
        policy.learn(bandit, budget, np.random.default_rng(1), Settings(rounds=1, multiplier_rate=0.5))
        assert policy.multiplier == pytest.approx(multiplier)


def test_an_action_that_is_not_there_is_never_taken() -> None:
    policy = Policy(2)
    policy.weights = np.array([50.0, 0.0])
    likely = policy.probabilities(np.eye(2), np.array([False, True]))
    assert likely.tolist() == [0, 1]
    random = np.random.default_rng(0)
    assert {drawn(np.array([0, 0.5, 0, 0.5, 0]), random) for _ in range(100)} == {1, 3}
    assert likeliest(np.array([0.3, 0.35, 0.35 + 1e-9])) == 1


def test_what_is_drawn_follows_the_probabilities() -> None:
    random = np.random.default_rng(2)
    counts = np.bincount([drawn(np.array([0.2, 0.0, 0.8]), random) for _ in range(2000)], minlength=3)
    # Four standard deviations of a binomial count.
    assert abs(counts[0] - 400) < 4 * np.sqrt(2000 * 0.2 * 0.8)


def test_advantages_by_hand() -> None:
    # What follows: 3, 2 and 5; at the first step the mean is 4, at the second that of one.
    assert advantages([[1.0, 2.0], [5.0]]).tolist() == [-1, 0, 1]


def test_one_step_goes_along_the_gradient_of_the_surrogate() -> None:
    random = np.random.default_rng(3)
    features, allowed = random.normal(size=(4, 3)), np.array([True, True, False, True])
    policy = Policy(3)
    policy.weights = random.normal(size=3)
    likely = policy.probabilities(features, allowed)
    episode = Episode([features], [allowed], [1], [float(likely[1])])
    before = policy.weights.copy()
    policy._ascend([episode], np.array([2.0]), Settings(passes=1, rate=1.0))
    expected = np.empty(3)
    for place in range(3):
        ends = []
        for sign in (1, -1):
            policy.weights = before + sign * 1e-6 * np.eye(3)[place]
            ends.append(2.0 * policy.probabilities(features, allowed)[1] / likely[1])
        expected[place] = (ends[0] - ends[1]) / 2e-6
    policy.weights = before.copy()
    policy._ascend([episode], np.array([2.0]), Settings(passes=1, rate=1.0))
    np.testing.assert_allclose(policy.weights - before, expected, atol=1e-6)


def test_a_probability_that_has_moved_too_far_is_left_alone() -> None:
    policy = Policy(2)
    episode = Episode([np.eye(2)], [np.ones(2, dtype=bool)], [0], [0.4])
    # The ratio is 0.5 / 0.4, above 1.2.
    policy._ascend([episode], np.array([1.0]), Settings(passes=1))
    assert policy.weights.tolist() == [0, 0]
    policy._ascend([episode], np.array([-1.0]), Settings(passes=1))
    assert policy.weights[0] < 0 < policy.weights[1]
