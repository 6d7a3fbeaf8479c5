import pytest

from grads.tables.estimates import Quantity, Run
from grads.tables.figures.ratio import ratio_figure
from grads.tables.figures.tradeoff import tradeoff_figure


def test_ratio_panels_show_the_measured_values(study, estimates):
    figure = ratio_figure(study, estimates)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["Law: BLEU", "Law: METEOR", "Tax: BLEU", "Tax: METEOR"]
    (random,) = [line for line in figure.axes[3].lines if len(line.get_ydata()) == 2 and line.get_marker() == "^"]
    expected = [
        estimates.of("tiny", "tax", Run("random", ratio), Quantity.domain("meteor")).value for ratio in ("0.05", "0.5")
    ]
    assert list(random.get_ydata()) == expected
    assert {text.get_text() for text in figure.axes[0].texts} == {"untuned", "full"}
    assert [text.get_text() for text in figure.legends[0].texts] == ["random", "grads_density"]


def test_bands_are_the_intervals(study, estimates):
    panel = ratio_figure(study, estimates).axes[1]
    bands = [collection.get_paths()[0].vertices for collection in panel.collections if collection.get_alpha()]
    found = [estimates.of("tiny", "law", Run("random", ratio), Quantity.domain("meteor")) for ratio in ("0.05", "0.5")]
    heights = set(bands[0][:, 1].round(9))
    assert heights == {round(bound, 9) for one in found for bound in (one.low, one.high)}


def test_what_is_missing_is_left_out(study, partial_estimates):
    figure = ratio_figure(study, partial_estimates)
    assert {text.get_text() for text in figure.axes[0].texts} == {"untuned"}
    assert {text.get_text() for text in figure.axes[2].texts} == {"untuned", "full"}


@pytest.mark.parametrize("arms", [1, 4, 27])
def test_however_many_arms_stand_beside_their_ratio(config, estimate, arms):
    swept = {f"arm{n}": {"method": "random", "ratios": ["0.25"]} for n in range(arms)}
    study, estimates = estimate(config | {"arms": {"untuned": {"method": "untuned"}} | swept})
    panel = ratio_figure(study, estimates).axes[0]
    places = sorted(line.get_xdata()[0] for line in panel.lines if len(line.get_xdata()) == 1)
    assert len(set(places)) == arms
    assert 0.25 / 1.15 < places[0] <= 0.25 <= places[-1] < 0.25 * 1.15
    low, high = panel.get_xlim()
    assert low < places[0] <= places[-1] < high


def test_an_automatic_ratio_stands_where_its_records_are(config, estimate):
    config["arms"]["random"]["ratios"] = ["0.5", "auto"]
    config["arms"]["grads"] = {"method": "grads", "ratios": ["auto"]}
    study, estimates = estimate(config)
    assert estimates.share("tiny", "law", Run("random", "auto")) == 0.7
    panel = ratio_figure(study, estimates).axes[0]
    (random,) = [line for line in panel.lines if line.get_marker() == "^" and len(line.get_ydata()) == 2]
    low, high = random.get_xdata()
    assert high / low == 0.7 / 0.5
    assert panel.get_xticks().tolist() == [0.5, 1.0]
    legend = [text.get_text() for text in tradeoff_figure(study, estimates).legends[0].texts]
    assert legend[-4:] == ["ratio 0.5", "ratio auto", "ratio 1", "Pareto front"]
