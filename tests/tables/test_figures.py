import pytest

from grads.study.load import parse_study
from grads.tables.estimates import Estimates, Quantity, Run
from grads.tables.figures import ratio_figure, tradeoff_figure, write_figure
from grads.tables.measurements import collect


@pytest.fixture
def estimates(study, make_cells):
    return Estimates(collect(study, make_cells(study)))


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


def test_tradeoff_panels_show_gain_and_drift(study, estimates):
    figure = tradeoff_figure(study, estimates)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["Law", "Tax"]
    assert figure.axes[0].get_ylabel() == "METEOR gain over untuned"
    run = Run("full", "1")
    drift = estimates.of("tiny", "law", run, Quantity.general("text", "kl")).value
    gain = estimates.difference("tiny", "law", run, Run("untuned", "0"), Quantity.domain("meteor")).value
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines if line.get_marker() == "s"]
    assert points == [(drift, gain)]


def test_a_smaller_loss_is_a_gain(config, make_cells):
    config["evaluation"]["metrics"] = ["response_nll"]
    study = parse_study(config)
    estimates = Estimates(collect(study, make_cells(study)))
    change = estimates.difference(
        "tiny", "law", Run("full", "1"), Run("untuned", "0"), Quantity.domain("response_nll")
    ).value
    panel = tradeoff_figure(study, estimates).axes[0]
    assert [line.get_ydata()[0] for line in panel.lines if line.get_marker() == "s"] == [-change]


def test_without_untuned_or_swept_arms_there_is_still_a_figure(config, make_cells):
    for arms in (("full", "random"), ("untuned", "full")):
        study = parse_study(config | {"arms": {name: config["arms"][name] for name in arms}})
        estimates = Estimates(collect(study, make_cells(study)))
        assert len(ratio_figure(study, estimates).axes) == 4
        assert len(tradeoff_figure(study, estimates).axes) == 2


def test_files_are_the_same_bytes_again(study, estimates, tmp_path):
    for name in ("first", "second"):
        write_figure(ratio_figure(study, estimates), tmp_path / name / "ratio")
    for suffix in ("svg", "pdf"):
        first = (tmp_path / "first" / f"ratio.{suffix}").read_bytes()
        assert first == (tmp_path / "second" / f"ratio.{suffix}").read_bytes()
        assert len(first) > 5000


def test_an_automatic_ratio_stands_where_its_records_are(config, make_cells):
    config["arms"]["random"]["ratios"] = ["0.5", "auto"]
    config["arms"]["grads"] = {"method": "grads", "ratios": ["auto"]}
    study = parse_study(config)
    estimates = Estimates(collect(study, make_cells(study)))
    assert estimates.share("tiny", "law", Run("random", "auto")) == 0.7
    panel = ratio_figure(study, estimates).axes[0]
    (random,) = [line for line in panel.lines if line.get_marker() == "^" and len(line.get_ydata()) == 2]
    low, high = random.get_xdata()
    assert high / low == 0.7 / 0.5
    assert panel.get_xticks().tolist() == [0.5, 1.0]
    legend = [text.get_text() for text in tradeoff_figure(study, estimates).legends[0].texts]
    assert legend[-3:] == ["ratio 0.5", "ratio auto", "ratio 1"]
