import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.tables.estimates import Quantity, Run
from grads.tables.figures.ratio import ratio_figure
from grads.tables.figures.tradeoff import pareto_front, tradeoff_figure


def test_tradeoff_panels_show_gain_and_drift(study, estimates):
    figure = tradeoff_figure(study, estimates)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["Law", "Tax"]
    assert figure.axes[0].get_ylabel() == "METEOR gain over untuned"
    run = Run("full", "1")
    drift = estimates.of("tiny", "law", run, Quantity.general("text", "kl")).value
    gain = estimates.difference("tiny", "law", run, Run("untuned", "0"), Quantity.domain("meteor")).value
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines if line.get_marker() == "s"]
    assert points == [(drift, gain)]


def test_a_smaller_loss_is_a_gain(config, estimate):
    config["evaluation"]["metrics"] = ["response_nll"]
    study, estimates = estimate(config)
    change = estimates.difference(
        "tiny", "law", Run("full", "1"), Run("untuned", "0"), Quantity.domain("response_nll")
    ).value
    panel = tradeoff_figure(study, estimates).axes[0]
    assert [line.get_ydata()[0] for line in panel.lines if line.get_marker() == "s"] == [-change]


def test_without_untuned_or_swept_arms_there_is_still_a_figure(config, estimate):
    for arms in (("full", "random"), ("untuned", "full")):
        study, estimates = estimate(config | {"arms": {name: config["arms"][name] for name in arms}})
        assert len(ratio_figure(study, estimates).axes) == 4
        assert len(tradeoff_figure(study, estimates).axes) == 2


def test_without_untuned_the_front_is_of_the_better_values(config, estimate):
    config["evaluation"]["metrics"] = ["response_nll"]
    del config["arms"]["untuned"]
    study, estimates = estimate(config)
    panel = tradeoff_figure(study, estimates).axes[0]
    (front,) = [line for line in panel.lines if line.get_gid() == "front"]
    found = []
    for run in (Run("full", "1"), Run("random", "0.05"), Run("random", "0.5"), Run("grads_density", "0.5")):
        quantities = Quantity.general("text", "kl"), Quantity.domain("response_nll")
        found.append(tuple(estimates.of("tiny", "law", run, one).value for one in quantities))
    best = [(drift, nll) for drift, nll in sorted(found) if nll < min([math.inf, *(o for d, o in found if d < drift)])]
    assert list(zip(front.get_xdata(), front.get_ydata(), strict=True)) == best


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
def test_no_point_of_the_front_is_beaten_and_all_others_are(points):
    front = pareto_front(*zip(*points, strict=True)) if points else []
    on_front = {points[index] for index in front}
    for cost, gain in points:
        beaten = any((c <= cost and g >= gain) and (c, g) != (cost, gain) for c, g in points)
        assert ((cost, gain) in on_front) is not beaten


def test_the_front_leaves_out_what_is_not_known_and_what_the_untuned_model_beats(study, partial_estimates):
    assert pareto_front([1.0, math.nan, 0.5], [1.0, 5.0, math.nan]) == [0]
    for panel in tradeoff_figure(study, partial_estimates).axes:
        (front,) = [line for line in panel.lines if line.get_gid() == "front"]
        assert all(gain > 0 for gain in front.get_ydata())


@pytest.mark.parametrize("domain", ["law", "tax"])
def test_the_front_is_that_of_the_measured_values(study, estimates, domain):
    panel = tradeoff_figure(study, estimates).axes[["law", "tax"].index(domain)]
    (front,) = [line for line in panel.lines if line.get_gid() == "front"]
    untuned, found = Run("untuned", "0"), []
    for run in (Run("full", "1"), Run("random", "0.05"), Run("random", "0.5"), Run("grads_density", "0.5")):
        drift = estimates.of("tiny", domain, run, Quantity.general("text", "kl")).value
        found.append((drift, estimates.difference("tiny", domain, run, untuned, Quantity.domain("meteor")).value))
    best = [(d, g) for d, g in sorted(found) if g > max([0.0, *(h for e, h in found if e < d)])]
    assert list(zip(front.get_xdata(), front.get_ydata(), strict=True)) == best
