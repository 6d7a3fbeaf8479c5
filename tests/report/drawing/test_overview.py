import math

import pytest

from grads.report.drawing.overview import overview_figure
from grads.report.drawing.style import CONTROLS, arm_style, trained_runs
from grads.report.statistics.estimates import Quantity, Run

UNTUNED = Run("untuned", "0")
MINE = Run("grads_density", "0.5")


def marker(study, panel, run):
    """Return where the marker of a run stands in a panel."""
    row = trained_runs(study).index(run)
    look = arm_style(study, run.arm)["marker"]
    (line,) = [line for line in panel.lines if line.get_marker() == look and line.get_ydata()[0] == row]
    return line.get_xdata()[0]


def test_a_run_stands_at_its_means_over_domains(study, estimates):
    gained, forgotten, price = overview_figure(study, estimates).axes
    gains = [estimates.difference("tiny", d, MINE, UNTUNED, Quantity.domain("bleu")).value for d in study.domains]
    drifts = [estimates.of("tiny", d, MINE, Quantity.general("text", "kl")).value for d in study.domains]
    assert marker(study, gained, MINE) == pytest.approx(sum(gains) / 2)
    assert marker(study, forgotten, MINE) == pytest.approx(sum(drifts) / 2)
    # Half of 20 records, 50 tokens each, at 5e3 operations; preliminary epoch, probe and base pass, by one arm alone.
    assert marker(study, price, MINE) == pytest.approx(5e3 * 500 + 5e6 + 4e6 + 2e6)
    for panel in (gained, forgotten, price):
        assert "mean over domains" in " ".join(panel.get_xlabel().split())


def test_every_run_has_a_row_and_full_a_line_through_all(study, estimates):
    for panel in overview_figure(study, estimates).axes:
        places = {line.get_ydata()[0] for line in panel.lines if len(line.get_xdata()) == 1}
        assert places >= set(range(len(trained_runs(study))))
        lines = {line.get_linestyle() for line in panel.lines if line.get_color() == CONTROLS["full"]["color"]}
        assert "--" in lines


def test_what_is_missing_is_left_out(study, partial_estimates):
    gained, _, price = overview_figure(study, partial_estimates).axes
    for panel in (gained, price):
        assert math.isnan(marker(study, panel, MINE))
        assert not math.isnan(marker(study, panel, Run("random", "0.5")))
