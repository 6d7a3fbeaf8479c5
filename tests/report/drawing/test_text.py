"""Titles and labels are the user's: nothing in them is a formula, in any figure."""

import pytest

from grads.report.drawing.benchmarks import benchmark_figure
from grads.report.drawing.differences import difference_figure
from grads.report.drawing.efficiency import efficiency_figure
from grads.report.drawing.overview import overview_figure
from grads.report.drawing.ratio import ratio_figure
from grads.report.drawing.style import write_figure
from grads.report.drawing.tradeoff import tradeoff_figure

TITLE = r"gain of $\foo$ at $x_{$ & <b> \ %"


@pytest.mark.parametrize(
    "draw", [difference_figure, ratio_figure, tradeoff_figure, benchmark_figure, efficiency_figure, overview_figure]
)
def test_dollar_signs_are_dollar_signs(config, estimate, tmp_path, draw):
    config["label"] = TITLE
    config["models"]["tiny"]["title"] = f"M {TITLE}"
    config["domains"]["law"]["title"] = f"D {TITLE}"
    for name, task in config["general"]["tasks"].items():
        task["title"] = f"{name} {TITLE}"
    study, estimates = estimate(config)
    figure = draw(study, estimates)
    write_figure(figure, tmp_path / "figure")
    assert (tmp_path / "figure.svg").stat().st_size > 1000
    assert (tmp_path / "figure.pdf").stat().st_size > 1000
    assert TITLE in " ".join(figure.get_suptitle().split())
