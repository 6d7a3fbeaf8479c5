"""Where in the distribution of gradient magnitudes the records lie that each arm keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grads.config.study import Study
from grads.report.drawing.style import SMALL, arm_style, logarithmic, panels, place_title
from grads.report.pool import Pool

_POINTS = {"base": "untuned", "warm": "after the preliminary epoch", "during": "during the preliminary epoch"}
_BINS = 40
_POOL: dict[str, Any] = {"facecolor": "#dcdcdc", "edgecolor": "#555555"}
_BOX: dict[str, Any] = {"facecolor": "white", "edgecolor": "#222222"}


@dataclass(frozen=True)
class Magnitudes:
    """Gradient magnitudes of one model and domain, under the study's first seed.

    Attributes:
        model: its key in the study.
        domain: its key in the study.
        label: what the magnitude is: of which layers, and at which point.
        pool: one number for each record that has one.
        kept: for each run that chooses, its title, its arm, and the numbers of the records that it keeps.
    """

    model: str
    domain: str
    label: str
    pool: np.ndarray
    kept: list[tuple[str, str, np.ndarray]]


def magnitudes_of(study: Study, pool: Pool) -> list[Magnitudes]:
    """Return the magnitudes of a pool, from the first arm whose method reads norms of the model's gradients, if any.

    A record's magnitude is the sum of the l2 norms that the method reads: over the layers, as GrADS counts it.
    """
    for run in pool.runs:
        chosen = pool.selected(run)
        of = pool.file(run, study.seeds[0]) if chosen else None
        if of is None or of.magnitudes is None:
            continue
        store, columns = of.magnitudes
        values = pool.signals(of.stores[store], columns).sum(axis=1, skipna=False).to_numpy(dtype=float)
        layers = " + ".join(name.removesuffix("_l2") for name in columns)
        label = f"gradient norm ({layers}),\nmodel {_POINTS[store.partition('-')[0]]}"
        kept = [
            (run.title, run.arm, _known(values[found[0].kept])) for run in pool.runs if (found := pool.selected(run))
        ]
        return [Magnitudes(pool.model, pool.domain, label, _known(values), kept)]
    return []


def _known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def magnitude_figure(study: Study, found: Sequence[Magnitudes]) -> Figure:
    """Return for each model and domain the pool's histogram, and below it where each run's subset lies.

    A subset's box holds its middle half, with the median as a stroke; the line goes from its 5th to its 95th
    percentile, and the shaded band behind all is the pool's middle half.
    """
    columns = min(3, max(1, len(found)))
    most = max((len(one.kept) for one in found), default=0)
    height = 1.1 + 0.17 * most
    rows = -(-len(found) // columns)
    strokes = [Line2D([], [], color="#222222", label="5th to 95th percentile"), Patch(**_BOX, label="middle half")]
    handles = [Patch(**_POOL, hatch="////", label="pool, all records"), *strokes]
    with panels(study, [height] * max(1, rows), [2.4] * columns, handles) as (figure, axes):
        for panel, one in zip(axes.flat, found, strict=False):
            _draw(panel, study, one)
        for panel in list(axes.flat)[len(found) :]:
            panel.remove()
    return figure


def _draw(panel: Axes, study: Study, one: Magnitudes) -> None:
    panel.set_title(place_title(study, one.model, one.domain), loc="left")
    panel.set_xlabel(one.label, fontsize=SMALL)
    logarithmic(panel, one.pool.tolist())
    edges = _edges(one.pool, panel.get_xscale() == "log")
    counts, _ = np.histogram(one.pool, edges)
    # The histogram takes the upper part: its tallest bin is as high as the rows below, and no axis counts records.
    rows = max(1, len(one.kept))
    heights = counts / max(1, counts.max()) * max(4.0, 0.6 * rows)
    panel.stairs(-heights - 0.8, edges, baseline=-0.8, fill=True, hatch="////", linewidth=0.6, **_POOL)
    panel.axvspan(*np.percentile(one.pool, [25, 75]), color="#f0f0f0", zorder=0, linewidth=0)
    for row, (_, arm, values) in enumerate(one.kept):
        if len(values):
            _region(panel, row, values, arm_style(study, arm))
    panel.set_yticks(range(len(one.kept)), [title for title, _, _ in one.kept])
    panel.tick_params(axis="y", labelsize=SMALL, length=0)
    panel.set_ylim(rows - 0.3, -1.0 - max(4.0, 0.6 * rows))
    panel.grid(axis="y", visible=False)


def _edges(values: np.ndarray, by_ratio: bool) -> np.ndarray:
    low = float(values.min())
    high = float(values.max())
    if by_ratio and low < high:
        return np.geomspace(low, high, _BINS + 1)
    return np.linspace(low, high if low < high else low + 1, _BINS + 1)


def _region(panel: Axes, row: int, values: np.ndarray, style: dict[str, Any]) -> None:
    low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
    panel.plot([low, high], [row, row], color=style["color"], linewidth=1)
    panel.barh(row, third - first, left=first, height=0.5, color="white", edgecolor=style["color"], zorder=2)
    panel.plot([median], [row], marker="|", color=style["color"], markersize=7, markeredgewidth=2, zorder=3)
