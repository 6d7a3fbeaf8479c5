"""How sure a model is of the right choice, and which answers changed, against oracles computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.report.statistics.choices import (
    AMONG_CHOICES,
    BRIER,
    RIGHT_TO_WRONG,
    RIGHT_TO_WRONG_LESS_CHANCE,
    WRONG_TO_RIGHT,
    WRONG_TO_RIGHT_LESS_CHANCE,
    among_choices,
    choice_measures,
    transitions,
)


def item(*probabilities, gold=0, **besides):
    return {"gold": gold, "choice_logprobs": [math.log(one) for one in probabilities], **besides}


def test_the_right_choice_is_weighed_against_the_others_of_its_item():
    """Probabilities 0.2, 0.1 and 0.1 are a half and two quarters of what the choices have together."""
    found = choice_measures([item(0.2, 0.1, 0.1), item(0.2, 0.1, 0.1, gold=2), item(0.3, 0.3)])
    assert found[AMONG_CHOICES] == pytest.approx([math.log(1 / 2), math.log(1 / 4), math.log(1 / 2)])
    quarter, half = 1 / 16, 1 / 4
    # The last item has two choices only; nothing stands for a third.
    assert found[BRIER] == pytest.approx([half + 2 * quarter, half + quarter + 9 / 16, 2 * half])


def test_what_all_choices_gain_is_no_gain_of_the_right_one():
    """The raw log-probability rises with style: here of every choice by 5 nats."""
    items = [item(0.02, 0.01, gold=1)]
    raised = [one | {"choice_logprobs": [value + 5 for value in one["choice_logprobs"]]} for one in items]
    assert choice_measures(raised)[AMONG_CHOICES] == pytest.approx(choice_measures(items)[AMONG_CHOICES])


def test_choices_are_compared_by_character_where_the_metric_does():
    """By sums the short choice is likelier, by character the long one; lm-eval's acc_norm takes the latter."""
    one = {"gold": 1, "choice_logprobs": [-4.0, -6.0], "choice_lengths": [2, 6]}
    plain = {name: one[name] for name in ("gold", "choice_logprobs")}
    assert among_choices([plain])[0].argmax() == 0
    # Per character -2 and -1, times the mean length 4: -8 and -4.
    expected = -math.log(1 + math.exp(-4))
    assert among_choices([one])[0] == pytest.approx([expected - 4, expected])
    # What a model gains on every character, whatever it says, cancels.
    raised = one | {"choice_logprobs": [-4.0 + 0.3 * 2, -6.0 + 0.3 * 6]}
    assert among_choices([raised])[0] == pytest.approx(among_choices([one])[0])
    assert among_choices([plain | {"choice_logprobs": raised["choice_logprobs"]}])[0] != pytest.approx(
        among_choices([plain])[0]
    )


def test_choices_of_equal_length_are_compared_as_without():
    one = item(0.2, 0.1, 0.4)
    assert among_choices([one | {"choice_lengths": [7, 7, 7]}])[0] == pytest.approx(among_choices([one])[0])


def test_choices_are_compared_less_their_own_probability_where_the_metric_does():
    one = item(0.2, 0.1) | {"choice_unconditional": [math.log(0.4), math.log(0.05)]}
    assert np.exp(among_choices([one])[0]) == pytest.approx([0.2, 0.8])


logprobs = st.lists(st.floats(-200, 0), min_size=1, max_size=6)


@given(logprobs, st.data())
def test_probabilities_add_up_and_the_metrics_answer_is_the_likeliest(values, data):
    lengths = data.draw(st.lists(st.integers(1, 60), min_size=len(values), max_size=len(values)))
    gold = data.draw(st.integers(0, len(values) - 1))
    one = {"gold": gold, "choice_logprobs": values, "choice_lengths": lengths}
    probabilities = np.exp(among_choices([one])[0])
    assert probabilities.sum() == pytest.approx(1)
    answer = int(np.argmax(np.array(values) / lengths))
    assert probabilities[answer] == pytest.approx(probabilities.max())
    found = choice_measures([one])
    assert found[AMONG_CHOICES][0] <= 1e-12
    assert 0 <= found[BRIER][0] <= 2


def test_a_brier_score_of_equal_choices_is_that_of_not_knowing():
    for count in (2, 3, 5):
        assert choice_measures([item(*[0.1] * count)])[BRIER][0] == pytest.approx(1 - 1 / count)


def test_transitions_by_hand():
    """Of four items one each went every way; chance 1/4 takes off a third of those that both have wrong."""
    before, after = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    found = transitions(before, after, 0.25)
    assert found[RIGHT_TO_WRONG].tolist() == [0, 1, 0, 0]
    assert found[WRONG_TO_RIGHT].tolist() == [0, 0, 1, 0]
    assert found[RIGHT_TO_WRONG_LESS_CHANCE] == pytest.approx([0, 1, 0, -1 / 3])
    assert found[WRONG_TO_RIGHT_LESS_CHANCE] == pytest.approx([0, 0, 1, -1 / 3])


def test_without_chance_nothing_is_taken_off():
    generator = np.random.default_rng(0)
    found = transitions(*(generator.integers(0, 2, 50).astype(float) for _ in range(2)), 0.0)
    assert found[RIGHT_TO_WRONG_LESS_CHANCE].tolist() == found[RIGHT_TO_WRONG].tolist()
    assert found[WRONG_TO_RIGHT_LESS_CHANCE].tolist() == found[WRONG_TO_RIGHT].tolist()


@pytest.mark.parametrize("chance", [0.0, 0.2, 0.25, 0.5])
def test_one_way_less_the_other_is_the_change_of_accuracy(chance):
    generator = np.random.default_rng(1)
    before, after = (generator.integers(0, 2, 100).astype(float) for _ in range(2))
    found = transitions(before, after, chance)
    change = found[WRONG_TO_RIGHT_LESS_CHANCE].mean() - found[RIGHT_TO_WRONG_LESS_CHANCE].mean()
    assert change == pytest.approx(after.mean() - before.mean())


def _answers(generator, known, chance):
    return np.where(known, 1.0, generator.random(known.shape) < chance)


@pytest.mark.parametrize("chance", [0.2, 0.25, 1 / 3, 0.5])
def test_guessers_forget_nothing_on_average(chance):
    """Two models that only guess change about as many items as chance gives, and none beyond."""
    generator = np.random.default_rng(2)
    nothing = np.zeros((4000, 50), dtype=bool)
    found = transitions(*(_answers(generator, nothing, chance) for _ in range(2)), chance)
    for raw, less in ((RIGHT_TO_WRONG, RIGHT_TO_WRONG_LESS_CHANCE), (WRONG_TO_RIGHT, WRONG_TO_RIGHT_LESS_CHANCE)):
        assert found[raw].mean() == pytest.approx(chance * (1 - chance), abs=0.005)
        error = found[less].std() / math.sqrt(found[less].size)
        assert abs(found[less].mean()) < 4 * error < 0.01


def test_what_was_known_and_is_guessed_now_is_what_is_left():
    """Of 10,000 items half are known to both, a tenth to the first alone, a twentieth to the second alone."""
    generator, chance = np.random.default_rng(3), 0.25
    kind = generator.choice(4, size=(200, 500), p=[0.5, 0.1, 0.05, 0.35])
    before, after = _answers(generator, kind < 2, chance), _answers(generator, (kind == 0) | (kind == 2), chance)
    found = transitions(before, after, chance)
    assert found[RIGHT_TO_WRONG_LESS_CHANCE].mean() == pytest.approx(0.1 * (1 - chance), abs=0.006)
    assert found[WRONG_TO_RIGHT_LESS_CHANCE].mean() == pytest.approx(0.05 * (1 - chance), abs=0.006)


def test_models_that_guess_alike_are_never_said_to_have_forgotten():
    generator = np.random.default_rng(4)
    guesses = _answers(generator, np.zeros(5000, dtype=bool), 0.25)
    found = transitions(guesses, guesses, 0.25)
    assert found[RIGHT_TO_WRONG].sum() == 0
    assert found[RIGHT_TO_WRONG_LESS_CHANCE].mean() < 0
