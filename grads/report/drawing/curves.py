"""How training went: the loss of every run, step by step."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.config.study import Study
from grads.report.drawing.style import (
    arm_style,
    handle,
    logarithmic,
    mark,
    place_panels,
    places,
    size_handles,
    sizes,
    trained_arms,
)
from grads.report.files import CellFiles
from grads.report.statistics.estimates import Run, runs
from grads.runtime.errors import GradsError
from grads.runtime.files import read_object, reading

_WINDOWS = 10
"""A curve is smoothed over this part of its steps."""


def curve_figure(study: Study, files: Sequence[CellFiles]) -> Figure:
    """Return training loss over optimiser steps: a panel per model and domain, a line per arm and ratio.

    A line is the mean over seeds of the running mean over a tenth of the steps, the band goes from the least seed to
    the greatest, and the run's last step carries its marker. Runs of which no seed is given are left out, and so are
    those that scale another arm's run: nothing was trained for them.

    Raises:
        GradsError: a summary of a training has no curve.
    """
    known: dict[tuple[str, str, Run], list[np.ndarray]] = {}
    scaled_arms = set()
    for one in files:
        if one.training is None:
            continue
        if (curve := read_curve(one)) is None:
            scaled_arms.add(one.cell.arm)
        else:
            key = (one.cell.model, one.cell.domain, Run(one.cell.arm, one.cell.ratio))
            known.setdefault(key, []).append(curve)
    shown_arms = [arm for arm in trained_arms(study) if arm not in scaled_arms]
    handles = [handle(study, arm, "line") for arm in shown_arms] + size_handles(study)
    with place_panels(study, (2.6, 2.0), handles) as (figure, shown):
        for panel, place in zip(shown, places(study), strict=True):
            shown_runs = [run for run in runs(study) if (*place, run) in known]
            last_steps = [_draw(panel, study, run, known[(*place, run)]) for run in shown_runs]
            logarithmic(panel, [1, *last_steps])
            panel.set_xlabel("optimiser step")
            panel.set_ylabel("training loss, nats per token")
    return figure


def read_curve(files: CellFiles) -> np.ndarray | None:
    """Return the loss of every optimiser step of a cell; None where it is another arm's run, scaled, whose curve it is.

    Raises:
        GradsError: its summary has no curve.
    """
    assert files.training is not None
    summary = read_object(files.training)
    if "scaled_from" in summary:
        return None
    curve = summary.get("curve")
    if not curve:
        raise GradsError(
            f"{files.training} has no 'curve': delete it and run again, so that {files.cell} is trained again"
        )
    with reading(files.training):
        return np.array([float(step["loss"]) for step in curve])


def smooth(losses: np.ndarray) -> np.ndarray:
    """Return running means over a tenth of the steps around each, fewer at the ends; as long as the losses."""
    reach = len(losses) // _WINDOWS // 2
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    steps = np.arange(len(losses))
    low = np.maximum(0, steps - reach)
    high = np.minimum(len(losses), steps + reach + 1)
    return (sums[high] - sums[low]) / (high - low)


def _draw(panel: Axes, study: Study, run: Run, curves: list[np.ndarray]) -> int:
    """Draw a run's curve and return its last step."""
    # Seeds draw different records, so that one may have a step more.
    length = min(map(len, curves))
    smoothed = np.array([smooth(curve)[:length] for curve in curves])
    steps = np.arange(1, length + 1)
    mean = smoothed.mean(axis=0)
    style = arm_style(study, run.arm)
    panel.plot(steps, mean, color=style["color"], linestyle=style["linestyle"], linewidth=1)
    panel.fill_between(steps, smoothed.min(axis=0), smoothed.max(axis=0), color=style["color"], alpha=0.12, linewidth=0)
    mark(panel, length, float(mean[-1]), style, sizes(study)[run.ratio])
    return length
