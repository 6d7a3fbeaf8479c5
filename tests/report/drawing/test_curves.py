import numpy as np
import pytest

from grads.report.drawing.curves import curve_figure, read_curve, smooth
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, write_json
from grads.study.reading import parse_study


def with_curves(files, losses):
    """Write curves: losses maps a cell to its losses, one a step."""
    for one in files:
        if one.training:
            steps = [{"step": step, "loss": loss} for step, loss in enumerate(losses(one.cell), 1)]
            write_json(one.training, read_json(one.training) | {"curve": steps})
    return files


def test_lines_are_means_over_seeds_and_bands_their_reach(config, make_cells):
    study = parse_study(config | {"seeds": [0, 1]})
    files = with_curves(make_cells(study), lambda cell: [3.0 + cell.seed, 2.0 + cell.seed, 1.0])
    figure = curve_figure(study, files)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["Law", "Tax"]
    line = figure.axes[0].lines[0]
    assert list(line.get_xdata()) == [1, 2, 3]
    assert list(line.get_ydata()) == [3.5, 2.5, 1.0]
    heights = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert set(heights) == {3.0, 4.0, 2.0, 1.0}
    # Four trained runs, each a line and the marker at its end.
    assert len(figure.axes[0].lines) == 8


def test_runs_that_are_not_given_are_left_out(study, make_cells):
    files = with_curves(make_cells(study), lambda cell: [1.0])
    figure = curve_figure(study, [one for one in files if one.cell.arm != "random"])
    assert [len(panel.lines) for panel in figure.axes] == [4, 4]


def test_an_arm_that_scales_another_run_has_no_curve(study, make_cells):
    files = with_curves(make_cells(study), lambda cell: [2.0, 1.0])
    for one in files:
        if one.cell.arm == "random":
            write_json(one.training, read_json(one.training) | {"scaled_from": "full"})
    assert all(read_curve(one) is None for one in files if one.cell.arm == "random")
    # Of two ratios, each a line and the marker at its end.
    figure = curve_figure(study, files)
    whole = curve_figure(study, with_curves(make_cells(study), lambda cell: [2.0, 1.0]))
    assert [len(panel.lines) for panel in figure.axes] == [len(panel.lines) - 4 for panel in whole.axes]
    named, all_named = ({text.get_text() for text in one.legends[0].get_texts()} for one in (figure, whole))
    assert len(all_named - named) == 1


def test_smoothing_keeps_length_and_lines_and_averages_a_tenth():
    assert smooth(np.array([5.0, 1.0, 3.0])).tolist() == [5.0, 1.0, 3.0]
    straight = np.arange(100.0)
    assert smooth(straight)[20:80] == pytest.approx(straight[20:80])
    spike = np.zeros(100)
    spike[50] = 11.0
    assert smooth(spike)[45:56] == pytest.approx(np.ones(11))
    assert smooth(spike).sum() == pytest.approx(11)


def test_a_summary_without_a_curve_is_named(study, make_cells):
    files = with_curves(make_cells(study), lambda cell: [])
    one = next(one for one in files if one.cell.arm == "full")
    with pytest.raises(GradsError, match=r"full/1/0/training\.json has no 'curve'"):
        read_curve(one)
