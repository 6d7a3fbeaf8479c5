import pytest

from grads.report.drawing.efficiency import efficiency_figure
from grads.report.drawing.style import arm_style
from grads.report.statistics.estimates import Quantity, Run


def test_points_stand_at_the_standalone_cost_and_strokes_reach_the_shared_one(study, estimates):
    panel = efficiency_figure(study, estimates).axes[0]
    # Half of 20 records, 50 tokens each, at 5e3 operations; preliminary epoch, probe and base pass, by one arm alone.
    whole = 5e3 * 500 + 5e6 + 4e6 + 2e6
    run = Run("grads_density", "0.5")
    gain = estimates.difference("tiny", "law", run, Run("untuned", "0"), Quantity.domain("bleu")).value
    (point,) = [line for line in panel.lines if line.get_marker() == arm_style(study, "grads_density")["marker"]]
    assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx((whole, gain))
    strokes = [
        list(line.get_xdata()) for line in panel.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"
    ]
    assert pytest.approx([whole, whole]) in strokes


def test_what_is_shared_is_divided(config, estimate):
    config["arms"]["grads"] = {"method": "grads", "ratios": ["0.05"]}
    panel = efficiency_figure(*estimate(config)).axes[1]
    strokes = [
        list(line.get_xdata()) for line in panel.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"
    ]
    assert pytest.approx([5e3 * 50 + 11e6 / 2, 5e3 * 50 + 11e6]) in strokes


def test_what_is_missing_is_left_out(study, partial_estimates):
    figure = efficiency_figure(study, partial_estimates)
    costs = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() in "so^"]
    assert [cost == cost for cost in costs] == [False, True, True, False]
