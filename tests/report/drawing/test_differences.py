import dataclasses
import math

import pandas as pd
import pytest

from grads.report.building.domain import domain_table
from grads.report.drawing import differences
from grads.report.drawing.differences import difference_figure, difference_rows
from grads.report.statistics.comparisons import compare
from grads.report.statistics.estimates import Quantity, Run


@pytest.fixture
def config(config):
    config["evaluation"]["metrics"] = ["meteor"]
    return config


def name(panel, point):
    """Return the name of the row that a point stands in."""
    return panel.yaxis.get_major_formatter().format_ticks(point.get_ydata())[0]


def shown(panel):
    """Return (value, low, high) of each run of a panel, by its name."""
    found = {}
    for point, _, bars in panel.containers:
        ends = bars[0].get_segments()[0][:, 0] if bars else (math.nan, math.nan)
        found[name(panel, point)] = (point.get_xdata()[0], *ends)
    return found


def panel_of(figure, title, label):
    """Return the panel with a title whose axis is named so."""
    (panel,) = [
        panel
        for panel in figure.axes
        if panel.get_title(loc="left") == title and " ".join(panel.get_xlabel().split()) == label
    ]
    return panel


METEOR = "METEOR: difference to {} (higher is better)"
DRIFT = "KL(untuned || tuned) on general text: difference to {}, nats per token (lower is better)"
SAID = {"full": "full", "random": "random, same ratio"}


def test_lines_are_the_comparisons_of_the_tables(study, estimates):
    figure = difference_figure(study, estimates)
    for label, quantity in ((METEOR, Quantity.domain("meteor")), (DRIFT, Quantity.general("text", "kl"))):
        for baseline, said in SAID.items():
            compared = compare(study, estimates, "tiny", "tax", quantity)
            expected = {
                run.title: pytest.approx((one.estimate.value, one.estimate.low, one.estimate.high))
                for run, found in compared.items()
                for one in found
                if one.baseline == baseline
            }
            assert shown(panel_of(figure, "Tax", label.format(said))) == expected
    assert set(shown(panel_of(figure, "Law", METEOR.format(SAID["random"])))) == {"grads_density@0.5"}


def test_a_filled_marker_is_told_from_zero_and_only_with_seeds_enough(config, estimate):
    for seeds in (1, 3):
        study, estimates = estimate(config | {"seeds": list(range(seeds))})
        figure = difference_figure(study, estimates)
        panel = panel_of(figure, "Law", DRIFT.format("full"))
        compared = compare(study, estimates, "tiny", "law", Quantity.general("text", "kl"))
        expected = {
            run.title: one.significant for run, found in compared.items() for one in found if one.baseline == "full"
        }
        filled = {name(panel, point): point.get_markerfacecolor() != "white" for point, _, _ in panel.containers}
        assert filled == expected
        assert any(filled.values()) == (seeds == 3)
        assert len(figure.legends[0].texts) == (1 if seeds == 1 else 2)


def test_accuracies_are_in_points(config, estimate):
    config["claims"] = [{"claim": "random@0.5 forgets less than full on quiz"}]
    study, estimates = estimate(config)
    rows = [(row.measure.name, row.baseline) for row in difference_rows(study, estimates)]
    assert rows == [("meteor", "full"), ("meteor", "random"), ("quiz", "full"), ("quiz", "random")]
    label = "accuracy on Quiz: difference to full, points (higher is better)"
    panel = panel_of(difference_figure(study, estimates), "Law", label)
    one = estimates.difference("tiny", "law", Run("random", "0.5"), Run("full", "1"), Quantity.general("quiz", "acc"))
    assert shown(panel)["random@0.5"][0] == pytest.approx(100 * one.value)


def test_a_mean_over_domains_has_a_panel_where_the_table_has_it(study, estimates, monkeypatch):
    table = domain_table(study, estimates)
    facts = table.tidy[table.tidy["domain"].isin(study.domains)]
    mean = facts[facts["domain"] == "law"].assign(domain="mean")
    both = dataclasses.replace(table, tidy=pd.concat([facts, mean]))
    monkeypatch.setattr(differences, "domain_table", lambda *_: both)
    figure = difference_figure(study, estimates)
    for said in SAID.values():
        label = METEOR.format(said)
        assert shown(panel_of(figure, "mean over domains", label)) == shown(panel_of(figure, "Law", label))
    assert sum(panel.get_title(loc="left") == "mean over domains" for panel in figure.axes) == 2


def test_what_is_missing_is_left_out(study, partial_estimates):
    figure = difference_figure(study, partial_estimates)
    label = METEOR.format("full")
    assert shown(panel_of(figure, "Law", label)) == {}
    assert set(shown(panel_of(figure, "Tax", label))) == {"random@0.05", "random@0.5"}


def test_a_study_without_baselines_has_an_empty_figure(config, estimate):
    study, estimates = estimate(config | {"arms": {name: config["arms"][name] for name in ("untuned", "full")}})
    assert [shown(panel) for panel in difference_figure(study, estimates).axes] == [{}, {}]
