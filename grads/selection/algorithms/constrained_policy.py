"""A policy over a few actions, learnt by proximal policy optimisation under a constraint (PPO with a Lagrangian).

J. Schulman et al., Proximal Policy Optimization Algorithms, arXiv 1707.06347, equation 7; the multiplier as in A. Ray
et al., Benchmarking Safe Exploration in Deep Reinforcement Learning, 2019. Small on purpose: a softmax linear in
features of the actions, and for a critic the mean of what the other episodes get from the same step on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class Environment(Protocol):
    """A task of several steps, which ends by itself."""

    def reset(self) -> None:
        """Begin again."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""

    def features(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what is known of each of K actions now (K x f, of scale one), and which of them there are (K)."""

    def step(self, action: int) -> tuple[float, float]:
        """Do an action; return its reward and its cost."""


@dataclass(frozen=True)
class Settings:
    """How long and how fast is learnt.

    Args:
        rounds: updates of policy and multiplier.
        episodes: of each round.
        passes: steps of gradient ascent of each round.
        rate: of a step.
        clip: how far the probability of an action may move in a round before its gradient is cut.
        multiplier_rate: what a unit of cost above the budget adds to the multiplier in a round.
    """

    rounds: int = 20
    episodes: int = 6
    passes: int = 4
    rate: float = 0.3
    clip: float = 0.2
    multiplier_rate: float = 0.5


@dataclass
class Episode:
    """What happened, a row a step.

    Attributes:
        features: T arrays of K x f.
        allowed: T arrays of K.
        actions: T.
        likelihoods: T, the probability of each action as it was taken.
        rewards: T.
        costs: T.
    """

    features: list[np.ndarray] = field(default_factory=list)
    allowed: list[np.ndarray] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    likelihoods: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)


class Policy:
    """A softmax over actions whose logits are linear in their features.

    Args:
        size: f.

    Attributes:
        weights: f; all 0 at first, when all actions are as likely.
        multiplier: what a unit of cost takes from the reward, at least 0.
    """

    def __init__(self, size: int) -> None:
        self.weights = np.zeros(size)
        self.multiplier = 0.0

    def probabilities(self, features: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Return the probability of each of K actions; leading axes of both are kept."""
        logits = np.where(allowed, features @ self.weights, -np.inf)
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    def run(self, environment: Environment, random: np.random.Generator | None) -> Episode:
        """Return an episode of actions that are drawn, or without a generator the likeliest, the first of equals."""
        episode = Episode()
        environment.reset()
        while not environment.done:
            features, allowed = environment.features()
            likely = self.probabilities(features, allowed)
            action = likeliest(likely) if random is None else drawn(likely, random)
            reward, cost = environment.step(action)
            episode.features.append(features)
            episode.allowed.append(allowed)
            episode.actions.append(action)
            episode.likelihoods.append(float(likely[action]))
            episode.rewards.append(reward)
            episode.costs.append(cost)
        return episode

    def learn(
        self, environment: Environment, budget: float, random: np.random.Generator, settings: Settings | None = None
    ) -> None:
        """Raise the reward of an episode, with a cost of at most `budget` on average."""
        settings = settings or Settings()
        for _ in range(settings.rounds):
            episodes = [self.run(environment, random) for _ in range(settings.episodes)]
            gains = advantages([one.rewards for one in episodes])
            losses = advantages([one.costs for one in episodes])
            # Divided, so that a large multiplier does not make for large steps.
            wanted = standardised((gains - self.multiplier * losses) / (1 + self.multiplier))
            self._ascend(episodes, wanted, settings)
            cost = float(np.mean([sum(one.costs) for one in episodes]))
            self.multiplier = max(0.0, self.multiplier + settings.multiplier_rate * (cost - budget))

    def _ascend(self, episodes: list[Episode], advantage: np.ndarray, settings: Settings) -> None:
        features = np.concatenate([one.features for one in episodes])
        allowed = np.concatenate([one.allowed for one in episodes])
        actions = np.concatenate([one.actions for one in episodes])
        before = np.concatenate([one.likelihoods for one in episodes])
        rows = np.arange(len(actions))
        for _ in range(settings.passes):
            likely = self.probabilities(features, allowed)
            ratio = likely[rows, actions] / before
            # Where the clipped term is the smaller one, it does not depend on the weights.
            cut = np.where(advantage > 0, ratio > 1 + settings.clip, ratio < 1 - settings.clip)
            direction = features[rows, actions] - np.einsum("tk,tkf->tf", likely, features)
            self.weights += settings.rate * ((~cut * ratio * advantage) @ direction) / len(actions)


def likeliest(probabilities: np.ndarray) -> int:
    """Return the action of the highest probability, the first of those equal to six decimals."""
    return int(np.argmax(np.round(probabilities, 6)))


def drawn(probabilities: np.ndarray, random: np.random.Generator) -> int:
    """Return an action by its probability, never one of probability 0."""
    possible = np.flatnonzero(probabilities)
    heap = np.cumsum(probabilities[possible])
    return int(possible[min(np.searchsorted(heap, random.random() * heap[-1], side="right"), len(possible) - 1)])


def advantages(received: list[list[float]]) -> np.ndarray:
    """Return of each step of each episode what follows from it on, less the mean of that over the episodes.

    Args:
        received: by episode, a number a step; the episodes may differ in length.

    Returns:
        as many numbers as there are steps in all, episode by episode.
    """
    longest = max(map(len, received))
    following = np.zeros((len(received), longest))
    there = np.zeros((len(received), longest), dtype=bool)
    for row, numbers in enumerate(received):
        following[row, : len(numbers)] = np.cumsum(numbers[::-1])[::-1]
        there[row, : len(numbers)] = True
    mean = following.sum(axis=0) / there.sum(axis=0)
    return (following - mean)[there]


def standardised(values: np.ndarray) -> np.ndarray:
    """Return numbers in units of their standard deviation; 0 where they are all equal."""
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-12 else np.zeros_like(values)
