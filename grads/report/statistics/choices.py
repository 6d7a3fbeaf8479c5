"""What follows from the items of a general benchmark: how sure a model is of the right choice, and what changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import log_softmax

AMONG_CHOICES = "gold_logprob_among_choices"
BRIER = "brier"
CHOICES = "choice_logprobs"
"""What an item has whose answer is chosen; one that is written freely has none."""

RIGHT_TO_WRONG = "right_to_wrong"
WRONG_TO_RIGHT = "wrong_to_right"
RIGHT_TO_WRONG_LESS_CHANCE = "right_to_wrong_less_chance"
WRONG_TO_RIGHT_LESS_CHANCE = "wrong_to_right_less_chance"
TRANSITIONS = (RIGHT_TO_WRONG, WRONG_TO_RIGHT, RIGHT_TO_WRONG_LESS_CHANCE, WRONG_TO_RIGHT_LESS_CHANCE)


def among_choices(items: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the log-probability of each choice among those of its item, shape (items, most choices).

    The probabilities of an item's choices add up to 1: log softmax of their scores. Where an item has fewer choices
    than others, minus infinity stands for the rest. Scores are what the benchmark's metric compares, so that the
    likeliest choice is the one that the metric takes for the answer:

    - `acc`, and whatever does not compare choices in another way: log-probabilities, as in lm-eval's `brier_score`.
    - `acc_norm`, `acc_bytes`: log-probabilities per character or byte, times the mean length of the item's choices.
      The mean keeps the scale that choices of equal length have, where this is what `acc` has; per character alone, all
      choices would look nearly equally likely. What a tuned model gains on every character alike, whatever it says,
      cancels; without the division it would look like a preference for long choices.
    - `acc_mutual_info`: log-probabilities less those without the question.

    Args:
        items: as general results have them, each with its choices.
    """
    most = max(len(item[CHOICES]) for item in items)
    scores = np.array([[*item[CHOICES], *[-np.inf] * (most - len(item[CHOICES]))] for item in items], dtype=np.float64)
    for row, item in zip(scores, items, strict=True):
        known = row[: len(item[CHOICES])]
        if "choice_lengths" in item:
            lengths = np.array(item["choice_lengths"], dtype=np.float64)
            known *= lengths.mean() / lengths
        elif "choice_unconditional" in item:
            known -= np.array(item["choice_unconditional"])
    return log_softmax(scores, axis=1)


def choice_measures(items: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return by metric what `among_choices` says of each item, shape (items,).

    AMONG_CHOICES is the right choice's log-probability in nats. BRIER is the sum over choices of (probability - 1 for
    the right one, 0 for others) squared, between 0 and 2 (Brier, Monthly Weather Review 78, 1950); 1 - 1/k where all k
    are equally likely.

    Raises:
        ValueError: an item's `gold` is the number of none of its choices.
    """
    logs = among_choices(items)
    gold = np.array([item["gold"] for item in items])
    if not all(0 <= item["gold"] < len(item[CHOICES]) for item in items):
        raise ValueError("'gold' of an item is the number of none of its choices")
    right = np.arange(logs.shape[1]) == gold[:, None]
    return {AMONG_CHOICES: logs[right], BRIER: ((np.exp(logs) - right) ** 2).sum(axis=1)}


def transitions(before: np.ndarray, after: np.ndarray, chance: float) -> dict[str, np.ndarray]:
    """Return by metric what changed of each item between two models, shape (items,).

    Items change from right to wrong, or back, where a model only guesses, too. How many do so follows from those that
    both models have wrong, under the model of the correction for guessing (Frary, Educational Measurement: Issues and
    Practice 7(2), 1988): an item is known, and answered right, or guessed, and then right with probability c, each
    model guessing for itself. Of items that both guess, a share (1 - c)^2 is wrong twice, and c (1 - c) goes from right
    to wrong, as many from wrong to right. Items that one of them knows are never wrong twice. So the share that
    guessing alone changes each way is

        c (1 - c) g = c / (1 - c) P(wrong, wrong)

    with g the share of items that both guess, and P(right, wrong) less that is what guessing does not give: (1 - c)
    times the share of items that were known and are not any more. It is linear in the items, so that its intervals are
    those of a mean. Less chance, one direction minus the other stays the change of accuracy.

    Models that are tuned from one another guess alike more often than that. Then less changes by chance than is taken
    off, and the result errs towards 0 or below it, never towards forgetting that is not there. Sample-wise transitions,
    less chance by the two accuracies alone: Harmon et al. 2025 (arXiv 2510.17776).

    Args:
        before: by item, 1 where the first model is right, else 0.
        after: the same of the second.
        chance: probability of guessing right, below 1; 0 takes nothing off.
    """
    lost = before * (1 - after)
    gained = (1 - before) * after
    by_chance = chance / (1 - chance) * (1 - before) * (1 - after)
    return dict(zip(TRANSITIONS, (lost, gained, lost - by_chance, gained - by_chance), strict=True))
