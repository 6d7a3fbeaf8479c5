import math

import pytest

from grads.report.drawing.differences import difference_figure
from grads.report.drawing.ratio import ratio_figure
from grads.report.drawing.style import CONTROLS, arm_style, bars, draw_print, write_figure
from grads.report.drawing.tradeoff import tradeoff_figure
from grads.report.paper import WIDTHS
from grads.report.registry import measured_figures
from grads.report.statistics.samples import Estimate
from grads.study.reading import parse_study


@pytest.mark.parametrize("draw", [ratio_figure, difference_figure, tradeoff_figure])
def test_files_are_the_same_bytes_again(study, estimates, tmp_path, draw):
    for name in ("first", "second"):
        write_figure(draw(study, estimates), tmp_path / name / "figure")
    for suffix in ("svg", "pdf"):
        first = (tmp_path / "first" / f"figure.{suffix}").read_bytes()
        assert first == (tmp_path / "second" / f"figure.{suffix}").read_bytes()
        assert len(first) > 5000


def test_points_without_an_interval_have_no_bar():
    none = Estimate(1.0, math.nan, math.nan, 3, 1)
    assert bars([none, none]) is None
    assert bars([Estimate(2.0, 1.5, 4.0, 3, 1), none]).tolist() == [
        [0.5, pytest.approx(math.nan, nan_ok=True)],
        [2.0, pytest.approx(math.nan, nan_ok=True)],
    ]


def test_controls_look_alike_in_every_study_and_no_two_arms_do(config):
    looks = []
    for number, first in ((3, "full"), (24, "random")):
        arms = {f"arm{n}": {"method": "grads_density", "ratios": ["0.5"]} for n in range(number)}
        controls = {name: config["arms"][name] for name in ("untuned", "full", "random")}
        study = parse_study(config | {"arms": {first: controls[first]} | arms | controls})
        looks.append({name: arm_style(study, name) for name in controls})
        styles = [arm_style(study, arm) for arm in study.arms]
        assert len({(style["color"], style["marker"]) for style in styles}) == len(study.arms)
    assert looks[0] == looks[1] == CONTROLS


def test_controls_have_their_look_in_every_figure_and_axes_say_which_direction_is_better(study, estimates):
    controls = {(look["marker"], look["color"]) for look in CONTROLS.values()}
    for one in measured_figures(study):
        figure = one.draw(study, estimates)
        lines = [line for panel in figure.axes for line in panel.lines if line.get_marker() in ("s", "o", "X")]
        looks = {(line.get_marker(), line.get_color()) for line in lines}
        assert looks
        assert looks <= controls
        for panel in figure.axes:
            assert "is better)" in f"{panel.get_xlabel()} {panel.get_ylabel()}"


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_figures_for_paper_have_their_width_and_letters_of_the_usual_size(config, estimate, width, collisions):
    study, estimates = estimate(config | {"seeds": [0, 1, 2]})
    problems = {}
    for one in measured_figures(study):
        figure = draw_print(lambda one=one: one.draw(study, estimates), width)
        assert figure.get_size_inches()[0] == width
        problems[one.name] = collisions(figure)
        names = [panel.xaxis.label for panel in figure.axes if panel.get_xlabel()]
        assert min(name.get_fontsize() for name in names) >= 7.5
    assert problems == {name: [] for name in problems}
