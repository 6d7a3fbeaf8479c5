from dataclasses import dataclass
from unittest.mock import patch

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from grads.report.drawing.style import save
from grads.report.measurements import collect
from grads.report.statistics.estimates import Estimates
from grads.study.reading import parse_study


@pytest.fixture
def estimates(study, make_cells):
    return Estimates(collect(study, make_cells(study)))


@pytest.fixture
def partial_estimates(study, make_cells):
    """Estimates of a study that lacks the full arm on law and the density arm everywhere."""
    gone = {("full", "law"), ("grads_density", "law"), ("grads_density", "tax")}
    files = [one for one in make_cells(study) if (one.cell.arm, one.cell.domain) not in gone]
    return Estimates(collect(study, files, partial=True), partial=True)


@pytest.fixture
def estimate(make_cells):
    """Return a function that makes a study of a config, and its estimates."""

    def made(config):
        study = parse_study(config)
        return study, Estimates(collect(study, make_cells(study)))

    return made


@pytest.fixture
def collisions(tmp_path):
    """Return a function that says what of a figure's texts meets another text, or leaves the canvas."""
    return lambda figure: collisions_of(figure, tmp_path / "figure.svg")


@dataclass(frozen=True)
class Drawn:
    """A text that was drawn, and the box around it in points of an SVG file."""

    text: str
    box: Bbox


def drawn_texts(figure: Figure, path) -> list[Drawn]:
    """Return every text that is drawn when the figure is written as SVG: titles, labels of axes and ticks, legends."""
    found: dict[Text, Drawn] = {}  # A figure is drawn twice to be written, once for its layout.
    draw = Text.draw

    def recorded(text: Text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            found[text] = Drawn(text.get_text(), text.get_window_extent(renderer).frozen())
        return draw(text, renderer, *args, **kwargs)

    with patch.object(Text, "draw", recorded):
        save(figure, path, "svg")
    return list(found.values())


def collisions_of(figure: Figure, path) -> list[str]:
    """Return what of a figure's texts meets another text, or leaves the canvas, by matplotlib's own renderer."""
    texts = drawn_texts(figure, path)
    width, height = 72 * figure.get_size_inches()
    slack = 0.5
    problems = [
        f"{one.text!r} leaves the canvas: {one.box}"
        for one in texts
        if one.box.x0 < -slack or one.box.y0 < -slack or one.box.x1 > width + slack or one.box.y1 > height + slack
    ]
    for place, one in enumerate(texts):
        for other in texts[place + 1 :]:
            across = min(one.box.x1, other.box.x1) - max(one.box.x0, other.box.x0)
            up = min(one.box.y1, other.box.y1) - max(one.box.y0, other.box.y0)
            if across > slack and up > slack:
                problems.append(f"{one.text!r} meets {other.text!r}: {one.box}, {other.box}")
    return problems
