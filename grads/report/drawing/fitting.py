"""Figures as large as what is in them: panels of a given size, and texts wrapped to the room that they have.

Widths of texts are measured with matplotlib's own metrics of the font, so that names of any length neither meet each
other nor leave the figure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

POINTS = 72.0
"""Points an inch."""
_ROOM = 6.0
"""Inches around a panel before its labels are measured; with less, a first layout could not place them."""
_LAYOUTS = 6
"""Layouts at most until the panels have their size; two or three are usual."""
_TOLERANCE = 0.01
_SAFE = 0.92
"""The part of its room that a text is wrapped to: on a screen letters are fitted to pixels, and a little wider."""
_LABEL_SIZE = 8.0
_LINE = 0.3
"""Inches that a line of the label or the legend takes at most."""
_HANDLE = 3.0
"""Length of a legend's lines, in its font's size."""


@dataclass(frozen=True)
class Frame:
    """What stands around the panels, and how large these are.

    Attributes:
        label: what a reader of the study must know; on top.
        widths: of the columns of panels, in inches, without tick labels and titles.
        heights: of the rows.
        handles: entries of the legend below the panels.
    """

    label: str
    widths: Sequence[float]
    heights: Sequence[float]
    handles: Sequence[Artist] = ()


def text_width(text: str, font: FontProperties) -> float:
    """Return the width in points of the longest line of a text."""
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.split("\n")]
    return float(max(widths))


def wrap(text: str, width: float, font: FontProperties) -> str:
    """Return a text in lines of at most `width` points, broken at spaces; longer words are broken inside.

    What stands in brackets, such as `(higher is better)`, goes to a line of its own before it is broken.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph, width, font):
            longer = f"{line} {word}" if line else word
            if text_width(longer, font) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _pieces(word, width, font)
            lines += full
        lines.append(line)
    return "\n".join(lines)


def _words(text: str, width: float, font: FontProperties) -> list[str]:
    """Return the words of a text, and what stands in brackets as one where it is no wider than a line."""
    words: list[str] = []
    for part in re.findall(r"\([^()]*\)\S*|\S+", text):
        words += [part] if text_width(part, font) <= width else part.split()
    return words


def _pieces(word: str, width: float, font: FontProperties) -> list[str]:
    """Return a word in pieces that are no wider than `width`, each of one character at least."""
    pieces = [""]
    for character in word:
        if pieces[-1] and text_width(pieces[-1] + character, font) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def fit(figure: Figure, panels: np.ndarray, frame: Frame) -> None:
    """Give panels their size and texts their lines, and the figure the size that this takes.

    Args:
        figure: with constrained layout.
        panels: its axes, shape (rows, columns); those that were removed are passed over.
        frame: the sizes of the panels, and what stands around them.
    """
    shown = [(panel, row, column) for (row, column), panel in np.ndenumerate(panels) if panel.figure is not None]
    if not shown:
        # Nothing to draw yet, as in a partial table: the label alone.
        figure.set_layout_engine("none")
        figure.suptitle(frame.label, x=0.01, ha="left", size=_LABEL_SIZE, style="italic", color="#555555")
        return
    for panel, row, column in shown:
        _wrap_titles(panel, frame.widths[column], frame.heights[row])
    figure.set_size_inches(
        sum(frame.widths) + _ROOM * len(frame.widths), sum(frame.heights) + _ROOM * len(frame.heights)
    )
    _resize(figure, shown, frame)
    # The label and the legend take the width that the panels need.
    width, height = figure.get_size_inches()
    font = FontProperties(size=_LABEL_SIZE, style="italic")
    label = wrap(frame.label, _SAFE * width * POINTS, font)
    figure.suptitle(label, x=0.01, ha="left", fontproperties=font, color="#555555")
    lines = label.count("\n") + 1
    if frame.handles:
        lines += _add_legend(figure, frame.handles, width * POINTS)
    figure.set_size_inches(width, height + _ROOM + _LINE * lines)
    layouts = 1
    while _resize(figure, shown, frame) and layouts < _LAYOUTS:
        layouts += 1
    _keep_layout(figure, [panel for panel, _, _ in shown])
    for panel, _, _ in shown:
        for axis in (panel.xaxis, panel.yaxis):
            _thin_tick_labels(axis)


def _wrap_titles(panel: Axes, width: float, height: float) -> None:
    """Wrap a panel's title, flush left, and the names of its axes to its width and height, in inches."""
    title = wrap(panel.get_title(loc="left"), _SAFE * width * POINTS, FontProperties(size=rcParams["axes.titlesize"]))
    panel.set_title(title, loc="left")
    for text, room in ((panel.xaxis.label, width), (panel.yaxis.label, height)):
        text.set_text(wrap(text.get_text(), _SAFE * room * POINTS, text.get_fontproperties()))


def _resize(figure: Figure, shown: Sequence[tuple[Axes, int, int]], frame: Frame) -> bool:
    """Lay the figure out, and change its size by what its panels lack or have too much; return whether that was so."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    # Rows and columns keep their ratios, so that one panel tells of all.
    panel, row, column = shown[0]
    place = panel.get_position(original=True)
    size = figure.get_size_inches()
    parts = np.array([place.width, place.height]) * size / [frame.widths[column], frame.heights[row]]
    lacking = (1 - parts) * [sum(frame.widths), sum(frame.heights)]
    if np.abs(lacking).max() < _TOLERANCE:
        return False
    figure.set_size_inches(*np.round(size + lacking, 2))
    return True


def _keep_layout(figure: Figure, shown: Sequence[Axes]) -> None:
    """Keep panels where they are, to six digits: the last ones of a layout are chance, and files must not differ."""
    figure.set_layout_engine("none")
    for panel in shown:
        left, bottom, width, height = np.round(panel.get_position(original=True).bounds, 6)
        panel.set_position((left, bottom, width, height))
    for text in figure.texts:
        text.set_position(tuple(np.round(text.get_position(), 6)))


def _add_legend(figure: Figure, handles: Sequence[Artist], width: float) -> int:
    """Put a legend below the panels, in as many columns as its longest entry leaves room for.

    Args:
        figure: the figure.
        handles: its entries.
        width: of the figure, in points.

    Returns:
        How many lines it has at most.
    """
    font = FontProperties(size=rcParams["font.size"])
    em = float(font.get_size_in_points())
    taken = (_HANDLE + 1.5) * em
    for one in handles:
        one.set_label(wrap(str(one.get_label()), _SAFE * width - taken - 2 * em, font))
    labels = [str(one.get_label()) for one in handles]
    widest = max(text_width(label, font) for label in labels) / _SAFE + taken
    columns = max(1, min(len(handles), int((width - 2 * em) / (widest + 2 * em))))
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns, handlelength=_HANDLE, prop=font)
    return -(-len(handles) // columns) * max(label.count("\n") + 1 for label in labels)


def _thin_tick_labels(axis: Axis) -> None:
    """Leave out tick labels that would touch the one before."""
    low, high = sorted(axis.get_view_interval())
    ticks = [
        (tick.get_loc(), tick.label1)
        for tick in axis.get_major_ticks()
        if low <= tick.get_loc() <= high and tick.label1.get_visible()
    ]
    boxes = [label.get_window_extent() for _, label in ticks]
    texts: list[str] = []
    kept = None
    for (_, label), box in zip(ticks, boxes, strict=True):
        meets = kept is not None and label.get_text() and kept.overlaps(box)
        texts.append("" if meets else label.get_text())
        if label.get_text() and not meets:
            kept = box
    if texts != [label.get_text() for _, label in ticks]:
        axis.set_ticks([place for place, _ in ticks], texts)
