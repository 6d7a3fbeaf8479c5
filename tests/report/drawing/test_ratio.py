import math

import pytest

from grads.report.drawing.ratio import ratio_figure, slots
from grads.report.drawing.style import CONTROLS
from grads.report.drawing.tradeoff import tradeoff_figure
from grads.report.statistics.estimates import Quantity, Run


def points(panel, marker):
    """Return the points with a marker, those without a value left out."""
    pairs = [
        pair
        for line in panel.lines
        if line.get_marker() == marker
        for pair in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    return [(float(x), float(y)) for x, y in pairs if not math.isnan(y)]


def test_ratio_panels_show_the_measured_values(study, estimates):
    figure = ratio_figure(study, estimates)
    titles = [(panel.get_title(loc="left"), panel.get_ylabel()) for panel in figure.axes]
    metrics = ["BLEU (higher is better)", "METEOR (higher is better)"]
    assert titles == [(domain, metric) for domain in ("Law", "Tax") for metric in metrics]
    panel, meteor = figure.axes[3], Quantity.domain("meteor")
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "0.05", "0.5", "1"]
    expected = [estimates.of("tiny", "tax", Run("random", ratio), meteor).value for ratio in ("0.05", "0.5")]
    assert [y for _, y in points(panel, CONTROLS["random"]["marker"])] == expected
    for method, run in (("untuned", Run("untuned", "0")), ("full", Run("full", "1"))):
        ((x, y),) = points(panel, CONTROLS[method]["marker"])
        assert y == estimates.of("tiny", "tax", run, meteor).value
        # It stands at the tick of its ratio.
        assert x == panel.get_xticks()[0 if method == "untuned" else -1]
    assert [text.get_text() for text in figure.legends[0].texts] == ["untuned", "full", "random", "grads_density"]


def test_bars_are_the_intervals_and_nothing_is_shaded(study, estimates):
    panel = ratio_figure(study, estimates).axes[1]
    segments = [segment for bars in panel.collections for segment in bars.get_segments()]
    heights = {round(float(y), 9) for segment in segments for _, y in segment}
    runs = [Run("untuned", "0"), Run("full", "1"), Run("random", "0.05"), Run("random", "0.5")]
    found = [estimates.of("tiny", "law", run, Quantity.domain("meteor")) for run in runs]
    assert {round(bound, 9) for one in found for bound in (one.low, one.high)} <= heights
    assert not panel.patches
    # Only an arm with several ratios has a guide, and it bends at the points that were measured.
    (guide,) = [line for line in panel.lines if line.get_gid() == "guide"]
    pairs = list(zip(guide.get_xdata(), guide.get_ydata(), strict=True))
    assert pairs == points(panel, CONTROLS["random"]["marker"])


def test_what_is_missing_is_left_out(study, partial_estimates):
    law, _, tax, _ = ratio_figure(study, partial_estimates).axes
    full = CONTROLS["full"]["marker"]
    assert points(law, full) == []
    assert len(points(tax, full)) == 1


@pytest.mark.parametrize("arms", [1, 4, 27])
def test_however_many_arms_stand_within_their_ratio(config, estimate, arms):
    swept = {f"arm{n}": {"method": "random", "ratios": ["0.05", "0.25"]} for n in range(arms)}
    study, estimates = estimate(config | {"arms": {"untuned": {"method": "untuned"}} | swept})
    untuned, first, second = slots(study, estimates, "tiny", "law")
    for slot in (first, second):
        assert len(slot.runs) == arms
        places = [slot.place(run) for run in slot.runs]
        assert places == sorted(set(places))
        assert slot.start < places[0] <= slot.middle <= places[-1] < slot.start + slot.width
    assert untuned.start + untuned.width == first.start
    panel = ratio_figure(study, estimates).axes[0]
    assert panel.get_xlim() == (0, second.start + second.width)


def test_an_automatic_ratio_stands_where_its_records_are(config, estimate):
    config["arms"]["random"]["ratios"] = ["0.5", "auto"]
    config["arms"]["grads"] = {"method": "grads", "ratios": ["auto", "0.9"]}
    study, estimates = estimate(config)
    assert estimates.share("tiny", "law", Run("random", "auto")) == 0.7
    panel = ratio_figure(study, estimates).axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "0.5", "auto\n0.70", "0.9", "1"]
    legend = [text.get_text() for text in tradeoff_figure(study, estimates).legends[0].texts]
    assert legend[-4:] == ["ratio 0.5", "ratio auto", "ratio 0.9", "ratio 1"]
